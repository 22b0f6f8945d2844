"""Other people's classifiers, a row each: right, or one sentence before the search, and never silently wrong."""

import argparse
import importlib.util
import json
import pathlib
import re
import sys
from collections import OrderedDict, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from latreg.classifier.adapters import AdaptedSUT, load_classifier
from latreg.classifier.adapters.sanity import check_sanity
from latreg.config import (
    CallableClassifierConfig,
    DatasetConfig,
    ExportClassifierConfig,
    HuggingFaceClassifierConfig,
    OnnxClassifierConfig,
    OwnClassifierConfig,
    TorchClassifierConfig,
)
from latreg.data.images import to_unit
from latreg.errors import LatregError
from tests.helpers import kinds
from tests.helpers.small_net import Eye
from tests.helpers.stripes import CLASSES, stripes

DATASET = DatasetConfig(name="stripes", channels=1, resolution=12, class_names=CLASSES)
DATA = stripes(300, seed=5)
KINDS = "tests.helpers.kinds"
RIGHT = None  # in the place of a message

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnxruntime", "onnx")), reason="needs the extra onnx"
)
needs_hf = pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs the extra hf")


def load(config: OwnClassifierConfig, dataset: DatasetConfig = DATASET) -> AdaptedSUT:
    sut = load_classifier(config, dataset, torch.device("cpu"))
    assert isinstance(sut, AdaptedSUT)
    return sut


def check(config: OwnClassifierConfig, message: str | None) -> None:
    """It is right on all images, or refused in one line that holds the message."""
    if message is RIGHT:
        assert check_sanity(load(config), DATA, CLASSES, None) == 1
        return
    with pytest.raises(LatregError, match=message) as caught:
        check_sanity(load(config), DATA, CLASSES, None)
    assert not re.search(r"\n|\x1b|weights_only|trust_remote", str(caught.value))


def of_form(folder: Path, form: str, **settings: Any) -> TorchClassifierConfig:
    torch.save(Eye().state_dict(), folder / "net.pt")
    return TorchClassifierConfig(
        network=f"{KINDS}.Wrapped", network_args={"form": form}, weights=str(folder / "net.pt"), **settings
    )


# ---- answers

NEITHER = r"classifier.outputs=logits was expected to give logits, but .*"


@pytest.mark.parametrize(
    ("form", "settings", "message"),
    [
        ("plain", {}, RIGHT),
        ("log probabilities", {}, RIGHT),
        ("tuple", {}, RIGHT),
        ("features first", {}, RIGHT),
        ("nested", {}, RIGHT),
        ("named tuple", {}, RIGHT),
        ("dict", {}, RIGHT),
        ("object", {}, RIGHT),
        ("with auxiliary logits", {}, RIGHT),
        ("two heads", {}, r"several outputs .*'0', '1': classifier.output=0 chooses"),
        ("two heads", {"output": "0"}, RIGHT),
        ("two heads", {"output": "2"}, r"classifier.output must name one of '0', '1', got '2'"),
        ("squeezed", {}, RIGHT),
        ("one pixel maps", {}, RIGHT),
        ("half", {}, RIGHT),
        ("probabilities", {}, NEITHER + "classifier.outputs=probabilities is right"),
        ("probabilities", {"outputs": "probabilities"}, RIGHT),
        ("sigmoids", {}, NEITHER + "as sigmoids do: classifier.outputs=scores is right"),
        ("sigmoids", {"outputs": "probabilities"}, "as sigmoids do: classifier.outputs=scores is right"),
        ("sigmoids", {"outputs": "scores"}, RIGHT),
        ("percent", {}, NEITHER + "sum to about 100 .*classifier.outputs=scores is right"),
        ("percent", {"outputs": "scores"}, RIGHT),
        ("bytes", {}, NEITHER + "sum to about 255 .*classifier.outputs=scores is right"),
        ("votes", {}, NEITHER + "sum to about 5 .*classifier.outputs=scores is right"),
        ("cosines", {}, NEITHER + "mean confidence .*are these cosines"),
        ("plain", {"outputs": "probabilities"}, "if these are logits, classifier.outputs=logits is right"),
        ("cosines", {"outputs": "scores"}, "needs answers of at least 0"),
        ("dropout", {}, "must answer the same images alike"),
        ("noise", {}, "must answer the same images alike"),
        ("of the batch", {}, "must answer an image alike whatever is asked beside it"),
        ("ranked in the batch", {}, "must answer an image alike whatever is asked beside it"),
        ("class numbers", {}, r"got \(200,\), one for each image as class numbers are"),
        ("eleven", {}, r"\(200, 3\), got \(200, 6\)"),
        ("nothing", {}, "got a NoneType: NoneType"),
        ("text", {}, r"got a dict: label str, score \(\)"),
        ("nan", {}, "must answer with finite numbers"),
    ],
)
def test_answers(form: str, settings: dict[str, Any], message: str | None, tmp_path: Path) -> None:
    check(of_form(tmp_path, form, **settings), message)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("as_dict", RIGHT),
        ("generator", RIGHT),
        ("eager", RIGHT),
        ("rows_of_tensors", RIGHT),
        ("half", RIGHT),
        ("class_numbers", "one for each image as class numbers are"),
        ("pipeline", r"got a list: 0\.0\.label str"),
    ],
)
def test_functions(function: str, message: str | None) -> None:
    kinds.calls.clear()
    check(CallableClassifierConfig(function=f"{KINDS}.{function}", wait=0.0), message)
    assert len(kinds.calls) <= 1, "what cannot succeed is not repeated"


class OneNumber(nn.Module):
    """Two classes, left and not left, by one number that is high for the second."""

    def __init__(self, sigmoid: bool = False) -> None:
        super().__init__()
        self.inner, self.sigmoid = Eye(), sigmoid

    def forward(self, images: Tensor) -> Tensor:
        x = self.inner(images)
        number = x[:, 1:].amax(1, keepdim=True) - x[:, :1]
        return number.sigmoid() if self.sigmoid else number


@pytest.mark.parametrize(("sigmoid", "outputs"), [(False, "logits"), (True, "probabilities"), (True, "logits")])
def test_one_number_for_two_classes(sigmoid: bool, outputs: str, tmp_path: Path) -> None:
    torch.save(OneNumber().state_dict(), tmp_path / "net.pt")
    config = TorchClassifierConfig(
        network=f"{__name__}.OneNumber", network_args={"sigmoid": sigmoid}, weights=str(tmp_path / "net.pt")
    )
    sut = load(replace(config, outputs=outputs), replace(DATASET, class_names=["left", "other"]))
    data = replace(DATA, labels=DATA.labels.clamp(max=1))
    if sigmoid and outputs == "logits":
        with pytest.raises(LatregError, match=r"the one number .*: classifier.outputs=probabilities is right"):
            check_sanity(sut, data, ["left", "other"], None)
    else:
        assert check_sanity(sut, data, ["left", "other"], None) == 1
        torch.testing.assert_close(sut(to_unit(DATA.images)).sum(1), torch.ones(300))


# ---- checkpoints


def lightning(state: dict[str, Tensor]) -> dict[str, Any]:
    return {
        "epoch": 3,
        "state_dict": {**{f"model.{k}": v for k, v in state.items()}, "criterion.weight": torch.ones(3)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
        "hyper_parameters": argparse.Namespace(lr=0.1),
    }


CHECKPOINTS = {
    "plain": lambda state: state,
    "DDP of a compiled one": lambda state: {f"module._orig_mod.{k}": v for k, v in state.items()},
    "compiled DDP": lambda state: {f"_orig_mod.module.{k}": v for k, v in state.items()},
    "a compiled part": lambda state: {k.replace("linear", "linear._orig_mod"): v for k, v in state.items()},
    "Lightning": lightning,
    "torchvision": lambda state: {"model": state, "optimizer": {}, "args": argparse.Namespace(out=pathlib.Path("x"))},
    "a numpy number beside it": lambda state: {"net": state, "acc": np.float64(0.9)},
    "a defaultdict beside it": lambda state: {"net": state, "log": defaultdict(list, loss=[1.0])},
    "averaged": lambda state: {"n_averaged": torch.tensor(3), **{f"module.{k}": v for k, v in state.items()}},
    "the same average": lambda state: {"state_dict": state, "state_dict_ema": dict(state)},
    "ordered": lambda state: OrderedDict(state=OrderedDict(net=OrderedDict(state))),
    "half": lambda state: {k: v.half() for k, v in state.items()},
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_checkpoints(kind: str, tmp_path: Path) -> None:
    torch.save(CHECKPOINTS[kind](Eye().state_dict()), tmp_path / "net.pt")
    check(TorchClassifierConfig(network="tests.helpers.small_net.Eye", weights=str(tmp_path / "net.pt")), RIGHT)


def test_a_checkpoint_with_two_sets_of_weights_must_be_told_which(tmp_path: Path) -> None:
    state = Eye().state_dict()
    other = {name: -tensor for name, tensor in state.items()}
    torch.save({"model": other, "model_ema": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "net.pt")
    config = TorchClassifierConfig(network="tests.helpers.small_net.Eye", weights=str(tmp_path / "net.pt"))
    check(
        config, "holds several sets of weights that fit, under model, model_ema.module, of which classifier.weights_key"
    )
    check(replace(config, weights_key="model_ema"), RIGHT)
    check(replace(config, weights_key="average"), "weights_key must be what stands before names in .*, got average")


def test_what_a_network_puts_before_all_names_is_taken_off(tmp_path: Path) -> None:
    torch.save(Eye().state_dict(), tmp_path / "net.pt")
    config = TorchClassifierConfig(network=f"{__name__}.Outer", weights=str(tmp_path / "net.pt"))
    check(config, RIGHT)


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Eye()

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {**s, "deeper.weight": torch.ones(2)}, "holds another architecture: 1 of 1 .* deeper.weight"),
        (lambda s: {"linear.weight": torch.ones(3, 4)}, r"another architecture: .*expected \(3, 3\), got \(3, 4\)"),
        (lambda s: {"linear.weight": s["linear.weight"] * float("nan")}, "expected finite weights .*linear.weight"),
        (lambda s: {"linear.weight": s["linear.weight"] / 0}, "expected finite weights .*linear.weight"),
    ],
)
def test_other_weights(change: Any, message: str, tmp_path: Path) -> None:
    torch.save(change(Eye().state_dict()), tmp_path / "net.pt")
    check(TorchClassifierConfig(network="tests.helpers.small_net.Eye", weights=str(tmp_path / "net.pt")), message)


def test_other_kinds_of_files_are_named(tmp_path: Path) -> None:
    config = TorchClassifierConfig(network="tests.helpers.small_net.Eye", weights=str(tmp_path / "net"))
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "net"))
    check(config, "but it holds a TorchScript program")
    torch.export.save(torch.export.export(Eye(), (torch.rand(2, 1, 12, 12),)), tmp_path / "net.pt2")
    (tmp_path / "net.pt2").rename(tmp_path / "net")
    check(config, "but it holds a program of torch.export: classifier=export reads it")
    (tmp_path / "net").write_bytes(b"\x89HDF\r\n\x1a\n")
    check(config, "but it holds a network of Keras")
    save_file(Eye().state_dict(), tmp_path / "net")
    check(config, RIGHT)


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "net\udcff.pt"
    torch.save(Eye().state_dict(), tmp_path / "net.pt")
    (tmp_path / "net.pt").rename(path)
    check(TorchClassifierConfig(network="tests.helpers.small_net.Eye", weights=str(path)), RIGHT)


# ---- programs and graphs


class Takes(nn.Module):
    """Takes images in another form than `Eye`."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.inner, self.form = Eye(), form

    def forward(self, images: Tensor) -> Any:
        if self.form == "nhwc":
            return self.inner(images.permute(0, 3, 1, 2))
        if self.form == "uint8":
            return self.inner(images.float() / 255)
        if self.form == "half":
            return self.inner(images.float())
        return FORMS[self.form](self.inner(images), images)


FORMS = kinds.FORMS
EXAMPLES = {
    "nhwc": torch.rand(4, 12, 12, 1),
    "uint8": torch.zeros(4, 1, 12, 12, dtype=torch.uint8),
    "half": torch.rand(4, 1, 12, 12).half(),
}


@pytest.mark.parametrize("form", ["plain", "nhwc", "uint8", "half", "tuple", "dict"])
def test_exported_programs(form: str, tmp_path: Path) -> None:
    images = EXAMPLES.get(form, torch.rand(4, 1, 12, 12))
    free = ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(Takes(form).eval(), (images,), dynamic_shapes=free), tmp_path / "net.pt2")
    check(ExportClassifierConfig(weights=str(tmp_path / "net.pt2")), RIGHT)


def test_bytes_are_not_normalized_and_names_need_be_no_utf_8(tmp_path: Path) -> None:
    program = torch.export.export(Takes("uint8").eval(), (EXAMPLES["uint8"],))
    torch.export.save(program, tmp_path / "net.pt2")
    path = (tmp_path / "net.pt2").rename(tmp_path / "net\udcff.pt2")
    message = r"takes uint8 images of 0 \.\. 255, so classifier.mean and classifier.std must not be set"
    check(ExportClassifierConfig(weights=str(path), mean=[0.5]), message)


def graph(folder: Path, layout: str = "nchw", outputs: tuple[str, ...] = ("logits",), inputs: int = 1) -> Path:
    """A graph of nothing but a mean over each third, its factor in a file of its own."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shape = ["n", 1, 12, 12] if layout == "nchw" else ["n", 12, 12, 1]
    thirds = np.repeat(20 * np.eye(3, dtype=np.float32), 4, axis=0)
    names = ["image", "other"][:inputs]
    axes = numpy_helper.from_array(np.array([1, 2] if layout == "nchw" else [1, 3], np.int64), "axes")
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["columns"], keepdims=0),
        helper.make_node("MatMul", ["columns", "thirds"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
        helper.make_node("Neg", ["logits"], ["negative"]),
    ]
    shapes = {"logits": ("n", 3), "label": ("n",), "negative": ("n", 3), "columns": ("n", 12)}
    made = helper.make_graph(
        nodes,
        "thirds",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name == "label" else TensorProto.FLOAT, shapes[name]
            )
            for name in outputs
        ],
        [axes, numpy_helper.from_array(thirds, "thirds")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="factors.bin", size_threshold=100)
    return path


@needs_onnx
@pytest.mark.parametrize(
    ("form", "settings", "message"),
    [
        ({}, {}, RIGHT),
        ({"layout": "nhwc"}, {}, RIGHT),
        ({"outputs": ("columns", "logits")}, {}, RIGHT),
        ({"outputs": ("label", "logits")}, {}, RIGHT),
        ({"outputs": ("negative", "logits")}, {}, RIGHT),
        ({"outputs": ("negative", "logits")}, {"output": "negative"}, "the classifier is right on 0"),
        ({"outputs": ("label",)}, {}, "one for each image as class numbers are"),
        ({"inputs": 2}, {}, "has several inputs .*classifier.input=NAME chooses one: image .*, other "),
        ({"inputs": 2}, {"input": "image"}, "and nothing else but switches"),
        ({}, {"input": "pixels"}, "classifier.input must name an input .* got pixels: image"),
    ],
)
def test_graphs(form: dict[str, Any], settings: dict[str, Any], message: str | None, tmp_path: Path) -> None:
    check(OnnxClassifierConfig(weights=str(graph(tmp_path, **form)), **settings), message)


@needs_onnx
def test_a_graph_whose_name_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    path = graph(tmp_path).rename(tmp_path / "net\udcff.onnx")
    check(OnnxClassifierConfig(weights=str(path)), "onnxruntime reads no file whose path is not UTF-8: rename ")


# ---- what an answer comes from


@needs_onnx
def test_the_id_covers_external_data_of_any_name(tmp_path: Path) -> None:
    config = OnnxClassifierConfig(weights=str(graph(tmp_path)))
    before = load(config)
    content = bytearray((tmp_path / "factors.bin").read_bytes())
    content[0] ^= 1
    (tmp_path / "factors.bin").write_bytes(content)
    after = load(config)
    assert set(before.files) == {"net.onnx", "factors.bin"}
    assert [name for name in before.files if before.files[name] != after.files[name]] == ["factors.bin"]
    assert before.id != after.id


def test_the_id_covers_the_code_and_what_it_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "of_a_user.py").write_text(
        "import torch\nfrom helpers_of_a_user import double\nfrom tests.helpers.small_net import Eye as Net\n"
        "def ask(images):\n    import late_of_a_user\n    return double(images)\n"
    )
    (tmp_path / "helpers_of_a_user.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "late_of_a_user.py").write_text("raise ValueError('not while it is looked at')\n")
    config = CallableClassifierConfig(function="of_a_user.ask")
    before = load(config)
    names = {"of_a_user.py", "helpers_of_a_user.py", "late_of_a_user.py"}
    assert names <= set(before.files)
    assert not any("torch" in name or "latreg" in name for name in before.files)
    for name in sorted(names):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "# changed\n")
        after = load(config)
        assert after.files[name] != before.files[name]
        assert after.id != before.id


# ---- Hugging Face


@pytest.fixture
def eye_of_transformers(tmp_path: Path) -> Path:
    """A network of transformers for stripes in colour that says nothing of its images."""
    import transformers

    torch.manual_seed(0)
    settings = transformers.ResNetConfig(
        num_channels=3, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=3
    )
    transformers.ResNetForImageClassification(settings).save_pretrained(tmp_path)
    return tmp_path


VIT = {"image_processor_type": "ViTImageProcessor", "size": 12, "do_normalize": False}
MOBILE = {"image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 12}, "crop_size": 12}
CONVNEXT = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 12}, "crop_pct": 0.7}


@needs_hf
@pytest.mark.parametrize(
    ("own", "message"),
    [
        (VIT, RIGHT),
        ({**VIT, "size": {"height": 12, "width": 12}}, RIGHT),
        ({**VIT, "size": [12, 12]}, RIGHT),
        ({**VIT, "size": {"height": 24, "width": 24}, "resample": 3}, RIGHT),
        ({**VIT, "rescale_factor": 2 / 255}, RIGHT),
        ({**VIT, "do_rescale": False}, RIGHT),
        ({**VIT, "do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.1, 0.2, 0.3]}, RIGHT),
        ({**MOBILE, "do_flip_channel_order": True}, RIGHT),
        ({**MOBILE, "size": {"shortest_edge": 16}, "do_flip_channel_order": False}, RIGHT),
        ({**VIT, "do_normalize": True, "image_mean": [0.4, 0.5]}, r"image_mean in .*must have 1 value or 3, one for"),
        ({**VIT, "size": {"height": 12, "width": 24}}, r"image processor of .* must make one square"),
        ({**VIT, "image_processor_type": "NoSuchProcessor"}, "must describe an image processor of transformers"),
        (CONVNEXT, RIGHT),
        ({**VIT, "image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True}, RIGHT),
        ({**VIT, "size": 60000}, r"size in .*preprocessor_config.json must be at most 4096, got 60000"),
        ({**CONVNEXT, "crop_pct": 1e-4}, r"crop_pct in .*preprocessor_config.json must be at least 0.1, got 0.0001"),
    ],
)
def test_images_are_prepared_as_the_library_does(
    own: dict[str, Any], message: str | None, eye_of_transformers: Path
) -> None:
    import transformers

    (eye_of_transformers / "preprocessor_config.json").write_text(json.dumps(own))
    config = HuggingFaceClassifierConfig(weights=str(eye_of_transformers))
    dataset = replace(DATASET, channels=3)
    if message is not RIGHT:
        with pytest.raises(LatregError, match=message):
            load(config, dataset)
        return
    images = torch.randint(0, 256, (3, 3, 12, 12), dtype=torch.uint8)
    processor = transformers.AutoImageProcessor.from_pretrained(eye_of_transformers, backend="pil")
    expected = processor([*images.permute(0, 2, 3, 1).numpy()], return_tensors="pt", input_data_format="channels_last")
    sut = load(config, dataset)
    torch.testing.assert_close(sut.inputs(to_unit(images)), expected["pixel_values"].float(), rtol=0, atol=1e-6)
    assert "preprocessor_config.json" in sut.files
    flipped = load(replace(config, channel_order="bgr" if sut.inputs.channel_order == "rgb" else "rgb"), dataset)
    torch.testing.assert_close(flipped.inputs(to_unit(images)), sut.inputs(to_unit(images.flip(1))), rtol=0, atol=1e-6)


@needs_hf
def test_settings_that_a_processor_cannot_follow_are_refused(eye_of_transformers: Path) -> None:
    own = {"image_processor_type": "PoolFormerImageProcessor", "size": 12, "crop_pct": 0.9, "crop_size": 12}
    (eye_of_transformers / "preprocessor_config.json").write_text(json.dumps(own))
    sut = load(HuggingFaceClassifierConfig(weights=str(eye_of_transformers), size=20), replace(DATASET, channels=3))
    with pytest.raises(
        LatregError, match=r"classifier.size=20 cannot be had from the image processor of .*its own siz"
    ):
        sut.inputs(torch.rand(2, 3, 12, 12))


@needs_hf
def test_settings_replace_all_that_a_processor_does_to_values(eye_of_transformers: Path) -> None:
    own = {**VIT, "image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True, "include_top": True}
    (eye_of_transformers / "preprocessor_config.json").write_text(json.dumps({**own, "do_normalize": True}))
    config = HuggingFaceClassifierConfig(weights=str(eye_of_transformers), white=1.0, mean=[0.3], std=[0.2])
    images = to_unit(torch.randint(0, 256, (2, 3, 12, 12), dtype=torch.uint8))
    inputs = load(config, replace(DATASET, channels=3)).inputs
    torch.testing.assert_close(inputs(images), (images * inputs.white - 0.3) / 0.2)


@needs_hf
@pytest.mark.parametrize("size", [12, [12, 12], {"height": 12, "width": 12}, [12, 24]])
def test_the_size_of_a_model_without_a_processor(size: Any, eye_of_transformers: Path) -> None:
    path = eye_of_transformers / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "image_size": size}))
    config = HuggingFaceClassifierConfig(weights=str(eye_of_transformers))
    if size == [12, 24]:
        with pytest.raises(LatregError, match=r"image_size in .*config.json must be the side of a square, got"):
            load(config, replace(DATASET, channels=3))
    else:
        assert load(config, replace(DATASET, channels=3)).inputs.size == 12


def test_channels_in_the_order_of_opencv_are_named() -> None:
    colours = torch.rand(300, 3, 12, 12) * 90
    colours[:, 0] += 120 * (DATA.labels != 1)[:, None, None]
    colours[:, 1] += 120 * (DATA.labels != 0)[:, None, None]
    data = replace(DATA, images=colours.to(torch.uint8))
    config = CallableClassifierConfig(function=f"{__name__}.of_colours", wait=0.0)
    sut = load(config, replace(DATASET, channels=3))
    with pytest.raises(
        LatregError, match=r"it takes the channels as bgr, and was fed rgb; with classifier.channel_order"
    ):
        check_sanity(sut, data, CLASSES, 0.9)


def of_colours(images: np.ndarray) -> np.ndarray:
    """Red, green, or both, of images whose red comes last."""
    _, green, red = torch.from_numpy(images).mean((2, 3)).T
    return (20 * torch.stack([red - green, green - red, 5 * (red + green - 1)], 1)).softmax(1).numpy()


@needs_hf
def test_an_adapter_needs_its_package(eye_of_transformers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    (eye_of_transformers / "adapter_config.json").write_text("{}")
    config = HuggingFaceClassifierConfig(weights=str(eye_of_transformers))
    check(config, "the adapter in .*adapter_config.json needs the package peft")
