"""A file that decides an answer has changed since a run: resume, merge and replay refuse, and name what has changed.

Retest shows the faults to whatever classifier it is given, so it has nothing to refuse; its result names the id.
"""

import importlib.util
import json
import shutil
import sys

import numpy as np
import pytest
import torch

from latreg import merge, replay
from latreg.runs.records import part_paths
from latreg.zoo import weights
from tests.helpers.random_settings import Rows

SEARCH = ("+experiment=mnist_random", "search.classes=[2,8]", "search.sources_per_class=1", "device=cpu")
SEARCH += ("search.max_queries_per_source=2", "classifier.probe_images=0", "search.severity_steps=0")
SEARCH += ("validity.stability=false", "validity.judge=[zoo:mnist_judge_b]", "validity.held_out=0")


def change_number(path):
    """Another value of the only parameter, or of the first."""
    state = torch.load(path)
    name = next(iter(state))
    torch.save({**state, name: state[name] + 1}, path)


def change_tensor(path):
    """The first number of the first tensor of a safetensors file."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    state = load_file(path)
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[name].view(-1)[0] += 0.01
    save_file(state, path, metadata)


def change_byte(path):
    """The lowest byte of the first number."""
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def add_comment(path):
    path.write_text(f"{path.read_text()}# changed\n")


def change_mean(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "image_mean": [0.3]}))


def of_torch(folder):
    torch.save(Rows().state_dict(), folder / "net.pt")
    return [f"classifier.network={Rows.__module__}.Rows", f"classifier.weights={folder / 'net.pt'}"]


def of_function(folder):
    code = "from tests.helpers.random_settings import answer\ndef ask(images):\n    return answer(images)\n"
    (folder / "changed_later.py").write_text(code)
    return ["classifier.function=changed_later.ask"]


def of_onnx(folder):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    table = numpy_helper.from_array(np.random.default_rng(0).normal(size=(32 * 32, 10)).astype(np.float32), "table")
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "table"], ["logits"]),
    ]
    takes = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 32, 32])
    gives = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "net", [takes], [gives], [table])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "net.onnx", save_as_external_data=True, location="table.bin", size_threshold=100)
    return [f"classifier.weights={folder / 'net.onnx'}"]


def of_transformers(folder):
    import transformers

    torch.manual_seed(0)
    settings = transformers.ResNetConfig(
        num_channels=1, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=10
    )
    transformers.ResNetForImageClassification(settings).save_pretrained(folder)
    own = {"image_processor_type": "ViTImageProcessor", "image_mean": [0.4], "image_std": [0.2], "size": 32}
    (folder / "preprocessor_config.json").write_text(json.dumps(own))
    return [f"classifier.weights={folder}"]


def shipped(key, name):
    """A copy of shipped weights."""

    def make(folder):
        for path in (weights.ZOO / f"{name}.safetensors", weights.card_path(weights.ZOO / f"{name}.safetensors")):
            if path.is_file():
                shutil.copy(path, folder)
        path = folder / f"{name}.safetensors"
        return [f"{key}=[{path}]" if key == "validity.judge" else f"{key}={path}"]

    return make


def have(*names):
    return pytest.mark.skipif(any(importlib.util.find_spec(name) is None for name in names), reason=f"needs {names}")


# kind of classifier, what is made, the file that changes, how, what is called by name, whether replay asks it
CASES = {
    "weights": ("torch", of_torch, "net.pt", change_number, "net.pt has changed", True),
    "external data": ("onnx", of_onnx, "table.bin", change_byte, "table.bin has changed", True),
    "module": ("callable", of_function, "changed_later.py", add_comment, "changed_later.py has changed", True),
    "processor": (
        *("huggingface", of_transformers, "preprocessor_config.json", change_mean),
        *("preprocessor_config.json has changed", True),
    ),
    "generator": (
        *("cnn", shipped("generator.weights", "mnist_stylegan2_small"), "mnist_stylegan2_small.safetensors"),
        *(change_tensor, "the generator", True),
    ),
    "judge": (
        *("cnn", shipped("validity.judge", "mnist_judge_a"), "mnist_judge_a.safetensors", change_tensor),
        *("the judge", False),
    ),
    "vae": (
        *("cnn", shipped("validity.vae", "mnist_vae"), "mnist_vae.safetensors", change_tensor),
        *("the vae", False),
    ),
    "density": (
        *("cnn", shipped("validity.density", "mnist_density"), "mnist_density.safetensors", change_tensor),
        *("the density", False),
    ),
}
NEEDS = {"external data": have("onnx", "onnxruntime"), "processor": have("transformers")}
FAST = ("module",)


def case(name):
    slow = () if name in FAST else (pytest.mark.slow,)
    return pytest.param(*CASES[name], id=name, marks=(*slow, *([NEEDS[name]] if name in NEEDS else [])))


@pytest.mark.parametrize(("kind", "make", "file", "change", "named", "replayed"), [case(name) for name in CASES])
def test_what_has_changed_is_named(kind, make, file, change, named, replayed, cli, tmp_path, monkeypatch, capfd):
    files = tmp_path / "files"
    files.mkdir()
    monkeypatch.syspath_prepend(files)
    command = (*SEARCH, f"classifier={kind}", *make(files))
    assert cli(*command, f"hydra.run.dir={tmp_path / 'a'}", "search.shard=1/2")[0] == 0
    before = [path.read_bytes() for path in part_paths(tmp_path / "a")]

    change(files / file)
    sys.modules.pop("changed_later", None)
    code, _, err = cli(*command, f"hydra.run.dir={tmp_path / 'a'}", "search.shard=1/2", "resume=true")
    assert (code, "Traceback" in err) == (1, False)
    assert "resume=true needs the weights of" in err
    assert named in err
    assert [path.read_bytes() for path in part_paths(tmp_path / "a")] == before

    if replayed:
        assert replay.main([str(tmp_path / "a"), "--trust"]) == 2
        assert named in capfd.readouterr().err

    assert cli(*command, f"hydra.run.dir={tmp_path / 'b'}", "search.shard=2/2")[0] == 0
    assert merge.main([str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "merged")]) == 2
    err = capfd.readouterr().err
    assert f"was made with other weights of {named if named.startswith('the ') else 'the sut'} than" in err
    assert named in err
