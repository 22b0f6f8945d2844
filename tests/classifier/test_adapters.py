"""Every way to bring a classifier answers alike, and says in one sentence what is wrong."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.export import Dim

from latreg.classifier.adapters import AdaptedSUT, load_classifier
from latreg.classifier.adapters.adapted import class_order
from latreg.classifier.adapters.checkpoint import read
from latreg.classifier.adapters.inputs import Inputs, Preset, make_inputs
from latreg.config import (
    CallableClassifierConfig,
    ClassifierConfig,
    DatasetConfig,
    ExportClassifierConfig,
    HuggingFaceClassifierConfig,
    OnnxClassifierConfig,
    OwnClassifierConfig,
    TimmClassifierConfig,
    TorchClassifierConfig,
)
from latreg.data.images import pad_to, to_unit
from latreg.errors import LatregError
from latreg.zoo import weights
from tests.helpers import small_net
from tests.helpers.small_net import Net
from tests.helpers.stripes import CLASSES, stripes

DATASET = DatasetConfig(name="stripes", channels=1, resolution=12, class_names=CLASSES)
CPU = torch.device("cpu")
IMAGES = to_unit(stripes(50, seed=3).images)
HERE = "tests.helpers.small_net"
VIT = {"image_processor_type": "ViTImageProcessor"}

onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnxruntime", "onnxscript")),
    reason="needs the extra onnx, and onnxscript to write a file",
)
hf = pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs the extra hf")


def load(config: OwnClassifierConfig, dataset: DatasetConfig = DATASET) -> AdaptedSUT:
    sut = load_classifier(config, dataset, CPU)
    assert isinstance(sut, AdaptedSUT)
    return sut


def of_torch(folder: Path, suffix: str = ".pt", **settings: Any) -> TorchClassifierConfig:
    path = folder / f"net{suffix}"
    state = Net().state_dict()
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    return TorchClassifierConfig(network=f"{HERE}.Net", weights=str(path), **settings)


def of_export(folder: Path, batch: int | None = None) -> ExportClassifierConfig:
    shapes = None if batch else ({0: Dim("n")},)
    program = torch.export.export(Net().eval(), (torch.rand(batch or 4, 1, 12, 12),), dynamic_shapes=shapes)
    torch.export.save(program, folder / "net.pt2")
    return ExportClassifierConfig(weights=str(folder / "net.pt2"))


def of_onnx(folder: Path, batch: int | None = None) -> OnnxClassifierConfig:
    shapes = None if batch else ({0: Dim("n")},)
    images = (torch.rand(batch or 4, 1, 12, 12),)
    torch.onnx.export(Net().eval(), images, folder / "net.onnx", dynamo=True, dynamic_shapes=shapes, verbose=False)
    return OnnxClassifierConfig(weights=str(folder / "net.onnx"))


def of_callable(folder: Path, function: str = "probabilities", **settings: Any) -> CallableClassifierConfig:
    return CallableClassifierConfig(function=f"{HERE}.{function}", wait=0.0, **settings)


WAYS = {
    "torch": of_torch,
    "safetensors": lambda folder: of_torch(folder, ".safetensors"),
    "export": of_export,
    "export of a fixed batch": lambda folder: of_export(folder, 4),
    "onnx": of_onnx,
    "onnx of a fixed batch": lambda folder: of_onnx(folder, 4),
    "callable": of_callable,
    "callable with lists": lambda folder: of_callable(folder, "as_lists"),
    "callable with logits": lambda folder: of_callable(folder, "logits", outputs="logits"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", [pytest.param(way, marks=onnx if "onnx" in way else ()) for way in WAYS])
def test_contract(way: str, tmp_path: Path) -> None:
    config = WAYS[way](tmp_path)
    sut = load(config)
    found = sut(IMAGES)
    with torch.no_grad():
        expected = Net().eval()(IMAGES).softmax(1)
    assert len(set(expected.argmax(1).tolist())) > 1
    assert torch.equal(found.argmax(1), expected.argmax(1))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (found.shape, found.dtype, found.requires_grad) == ((50, 3), torch.float32, False)
    assert sut.num_classes == 3
    assert sut.usage.calls == (13 if "fixed" in way else 1)
    assert sut.usage.images == (52 if "fixed" in way else 50)
    assert sut.usage.seconds > 0
    assert torch.equal(sut(IMAGES), found)
    torch.testing.assert_close(sut(IMAGES[7:8]), found[7:8], rtol=0, atol=1e-5)
    assert sut(IMAGES[:0]).shape == (0, 3)
    again = load(config)
    assert again.id == sut.id
    assert len(sut.id) == 64


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", ["export", pytest.param("onnx", marks=onnx)])
def test_a_damaged_file_is_told_once_and_without_a_traceback(way: str, tmp_path: Path, capfd: Any, caplog: Any) -> None:
    path = tmp_path / f"net.{'pt2' if way == 'export' else way}"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    config = ExportClassifierConfig(weights=str(path)) if way == "export" else OnnxClassifierConfig(weights=str(path))
    with pytest.raises(LatregError, match=r"net\..*it cannot be read: "):
        load(config)
    assert not caplog.records
    assert "".join(capfd.readouterr()) == ""


@hf
def test_hugging_face_answers_as_its_network_does(tmp_path: Path) -> None:
    import transformers

    torch.manual_seed(0)
    settings = transformers.ResNetConfig(
        num_channels=1, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=3
    )
    settings.id2label = {0: "RIGHT", 1: "Left", 2: "middle"}
    network = transformers.ResNetForImageClassification(settings).eval()
    network.classifier[1].weight.data *= 20
    network.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({**VIT, "do_normalize": True, "image_mean": [0.4], "image_std": [0.2], "size": 24})
    )
    config = HuggingFaceClassifierConfig(weights=str(tmp_path))
    sut = load(config)
    assert replace(sut.inputs, preprocessor=None) == Inputs(1, 24, "resize", 1.0, (0.4,), (0.2,))
    assert sut.order == (2, 0, 1)
    with torch.no_grad():
        expected = network(sut.inputs(IMAGES)).logits.softmax(1)[:, [1, 2, 0]]
    torch.testing.assert_close(sut(IMAGES), expected, rtol=0, atol=1e-5)
    assert load(replace(config, mean=[0.0], class_order=[0, 1, 2])).inputs.mean == (0.0,)
    names = ("config.json", "model.safetensors", "preprocessor_config.json")
    assert sut.files == {name: weights.sha256(tmp_path / name) for name in names}


@hf
def test_hugging_face_refusals(tmp_path: Path) -> None:
    with pytest.raises(LatregError, match=r"must name an image classifier of transformers with safetensors weights"):
        load(HuggingFaceClassifierConfig(weights=str(tmp_path)))
    with pytest.raises(LatregError, match=r"must name a folder or a repository of the hub, got null"):
        load(HuggingFaceClassifierConfig())


@hf
def test_hugging_face_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        LatregError, match=r"an existing folder or a repository that the hub lets you read, got no/such"
    ):
        load(HuggingFaceClassifierConfig(weights="no/such"))


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is there")
def test_timm_is_named_where_it_is_missing() -> None:
    with pytest.raises(LatregError, match=r"classifier=timm needs the package timm.*pip install 'latreg\[timm\]'"):
        load(TimmClassifierConfig(network="resnet18"))


def test_timm(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="needs timm and torchvision", exc_type=Exception)
    network = timm.create_model("resnet10t", num_classes=3, in_chans=1).eval()
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    sut = load(TimmClassifierConfig(network="resnet10t", weights=str(tmp_path / "net.safetensors"), size=32))
    with torch.no_grad():
        torch.testing.assert_close(sut(IMAGES), network(sut.inputs(IMAGES)).softmax(1), rtol=0, atol=1e-5)


def test_a_shipped_classifier_is_what_it_was() -> None:
    dataset = DatasetConfig(name="mnist", channels=1, resolution=32, class_names=list("0123456789"))
    config = ClassifierConfig(name="cnn", network="resnet", weights="zoo:mnist_sut")
    assert not isinstance(load_classifier(config, dataset, CPU), AdaptedSUT)


# ---- files


def test_checkpoints_of_trainers_are_understood(tmp_path: Path) -> None:
    plain = load(of_torch(tmp_path))(IMAGES)
    state = {f"module.{name}": tensor for name, tensor in Net().state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "net.pt")
    config = TorchClassifierConfig(network=f"{HERE}.Net", weights=str(tmp_path / "net.pt"))
    assert torch.equal(load(config)(IMAGES), plain)


def test_arguments_reach_the_network(tmp_path: Path) -> None:
    torch.save(Net(width=7).state_dict(), tmp_path / "net.pt")
    config = TorchClassifierConfig(network=f"{HERE}.Net", weights=str(tmp_path / "net.pt"), network_args={"width": 7})
    assert load(config)(IMAGES).shape == (50, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            Net(width=5).state_dict(),
            r"holds another architecture: .* the first is conv.bias, expected \(4,\), got \(5,\)",
        ),
        (Net(), r"got a whole object of .*small_net.Net, .* save network.state_dict\(\) where that code is at hand"),
        ({"model": Net()}, r"got a whole object of .*small_net.Net under 'model'"),
        ({"epoch": 1, "weights": 2}, r"expected a state_dict in .*, got a dict with the keys epoch, weights"),
        ([1], r"expected a state_dict in .*, got a list"),
        ({}, r"expected a state_dict in .*, got a dict with the keys \(none\)"),
    ],
)
def test_refuses_other_files(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(LatregError, match=message):
        load(TorchClassifierConfig(network=f"{HERE}.Net", weights=str(tmp_path / "net.pt")))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_that_was_cut_off_is_one_sentence(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(Net().state_dict(), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in range(0, len(whole), 41):
        path.write_bytes(whole[:length])
        with pytest.raises(LatregError, match=r"expected a state_dict in"):
            read(path)


class Trap:
    """A pickle that leaves a file behind if anyone loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_state_dict_cannot_run_code(tmp_path: Path) -> None:
    torch.save({"conv.weight": Trap(tmp_path / "sprung")}, tmp_path / "net.pt")
    with pytest.raises(LatregError, match="nothing else than tensors is read"):
        load(TorchClassifierConfig(network=f"{HERE}.Net", weights=str(tmp_path / "net.pt")))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "suffix", "message"),
    [
        (TorchClassifierConfig, ".pt", "expected a state_dict in"),
        (TorchClassifierConfig, ".safetensors", "expected a state_dict in"),
        (ExportClassifierConfig, ".pt2", "expected a program in"),
        pytest.param(OnnxClassifierConfig, ".onnx", "expected an ONNX file in", marks=onnx),
    ],
)
def test_refuses_damaged_files(kind: type[OwnClassifierConfig], suffix: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(b"PK\x03\x04 garbage")
    config = kind(weights=str(path), network=f"{HERE}.Net" if kind is TorchClassifierConfig else "")
    with pytest.raises(LatregError, match=message):
        load(config)
    with pytest.raises(LatregError, match=r"classifier\.weights must name an existing file, got nothing\.pt"):
        load(replace(config, weights="nothing.pt"))
    with pytest.raises(LatregError, match=r"classifier\.weights must name a weights file .*got null"):
        load(replace(config, weights=None))


# ---- code


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        ("", {}, r"classifier\.network must be the import path of something, as my_module\.name, got ''"),
        ("no_such_module.Net", {}, r"classifier\.network must be the import path .*got 'no_such_module\.Net'"),
        (f"{HERE}.Nett", {}, r"must be the import path .*Nett"),
        (f"{HERE}.not_callable", {}, r"must name something that can be called, but .*not_callable is a int"),
        (f"{HERE}.Net", {"depth": 3}, r"classifier\.network cannot be made with \{'depth': 3\}: TypeError"),
        (f"{HERE}.Flaky", {}, r"must make a torch\.nn\.Module, got a Flaky"),
    ],
)
def test_refuses_other_networks(network: str, arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    config = replace(of_torch(tmp_path), network=network, network_args=arguments)
    with pytest.raises(LatregError, match=message):
        load(config)


def test_a_failing_call_is_repeated(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(small_net, "flaky", small_net.Flaky())
    small_net.flaky.failures = 2
    sut = load(CallableClassifierConfig(function=f"{HERE}.flaky", retries=2, wait=0.0))
    assert sut(IMAGES).shape == (50, 3)
    assert small_net.flaky.calls == 3
    assert caplog.messages == [
        f"{HERE}.flaky failed, attempt {n} of 3: ConnectionError: no route to host" for n in (1, 2)
    ]


def test_a_call_that_goes_on_failing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_net, "flaky", small_net.Flaky())
    small_net.flaky.failures = 99
    sut = load(CallableClassifierConfig(function=f"{HERE}.flaky", retries=1, wait=0.0))
    with pytest.raises(
        LatregError, match=r"flaky failed 2 times on 50 images, the last time with ConnectionError: no r"
    ):
        sut(IMAGES)
    assert small_net.flaky.calls == 2


def test_waits_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("latreg.classifier.adapters.function.time.sleep", waits.append)
    with pytest.raises(LatregError, match="failed 4 times"):
        load(CallableClassifierConfig(function=f"{HERE}.broken", wait=0.5))(IMAGES)
    assert waits == [0.5, 1.0, 2.0]


def test_the_id_of_a_function_is_its_path_and_version(tmp_path: Path) -> None:
    ids = [load(of_callable(tmp_path, **changes)).id for changes in ({}, {"version": "2"}, {"function": "as_lists"})]
    assert len(set(ids)) == 3
    assert load(of_callable(tmp_path, retries=7)).id == ids[0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("too_many_classes", r"must answer 50 images with one number for each of the 3 classes .* got \(50, 10\)"),
        ("not_a_number", r"must answer with finite numbers, but answers nan or infinite ones"),
        (
            "logits",
            r"outputs=probabilities needs answers in \[0, 1\] .* if these are logits, classifier.outputs=logits",
        ),
    ],
)
def test_refuses_other_answers(function: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(LatregError, match=message):
        load(of_callable(tmp_path, function))(IMAGES)


def test_a_network_that_fails_is_one_sentence(tmp_path: Path) -> None:
    sut = load(of_torch(tmp_path, channels=3))
    with pytest.raises(
        LatregError, match=r"classifier failed on float32 images \(50, 3, 12, 12\): RuntimeError: .*\.channels"
    ):
        sut(IMAGES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"outputs": "softmax"}, "outputs must be logits, probabilities or scores, got 'softmax'"),
        ({"channels": 4}, "channels must be 1 or 3, got 4"),
        ({"white": 0.0}, "must be above 0, got 12 and 0"),
        ({"mean": [0.1, 0.2, 0.3]}, r"classifier.mean must have 1 value, got \[0.1, 0.2, 0.3\]"),
        ({"channel_order": "gbr"}, "classifier.channel_order must be rgb or bgr, got 'gbr'"),
        ({"layout": "hwc"}, "classifier.layout must be nchw or nhwc, got 'hwc'"),
        ({"std": [0.0]}, r"std must not be 0, got \[0\]"),
        ({"size": 8}, "fit must say how images of 12x12 become 8x8"),
        ({"size": 8, "fit": "stretch"}, "fit must be crop or resize, got 'stretch'"),
        ({"size": 24, "fit": "crop"}, "fit=crop needs a size of at most 12, got 24"),
        ({"batch_size": 0}, "batch_size must be at least 1 or null, got 0"),
        ({"class_order": ["left", "right"]}, r"must name each of the 3 classes once, .* got \['left', 'right'\]"),
        ({"class_order": [0, 1, 1]}, r"must name each of the 3 classes once, .* got \[0, 1, 1\]"),
        ({"class_order": ["left", "middle", "up"]}, "must name each of the 3 classes once"),
    ],
)
def test_refuses_other_settings(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(LatregError, match=message):
        load(of_torch(tmp_path, **settings))


def test_arguments_that_nothing_uses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LatregError, match="network_args must be empty for classifier=callable"):
        load(of_callable(tmp_path, network_args={"width": 3}))


def test_batches_are_no_larger_than_wanted(tmp_path: Path) -> None:
    sut = load(of_torch(tmp_path, batch_size=16))
    whole = load(of_torch(tmp_path))
    torch.testing.assert_close(sut(IMAGES), whole(IMAGES), rtol=0, atol=1e-6)
    assert (sut.usage.calls, whole.usage.calls) == (4, 1)


# ---- images and classes


def test_inputs_change_nothing_by_default() -> None:
    inputs = make_inputs(OwnClassifierConfig(), Preset(), DATASET)
    assert torch.equal(inputs(IMAGES), IMAGES)


def test_inputs_normalize_per_channel() -> None:
    inputs = Inputs(3, 12, "resize", 255.0, (1.0, 2.0, 3.0), (1.0, 2.0, 4.0))
    images = torch.rand(2, 3, 12, 12)
    for channel, (mean, std) in enumerate(zip(inputs.mean, inputs.std, strict=True)):
        expected = (images[:, channel] * 255 - mean) / std
        torch.testing.assert_close(inputs(images)[:, channel], expected)


def test_gray_becomes_colour_and_back() -> None:
    assert torch.equal(replace(PLAIN, channels=3)(IMAGES), IMAGES.expand(-1, 3, -1, -1))
    red = torch.zeros(1, 3, 12, 12)
    red[:, 0] = 1
    torch.testing.assert_close(PLAIN(red), torch.full((1, 1, 12, 12), 0.299))


def test_crop_undoes_padding() -> None:
    assert torch.equal(PLAIN(pad_to(IMAGES, 17)), IMAGES)


def test_resize_keeps_flat_images_and_range() -> None:
    larger = replace(PLAIN, fit="resize", size=30)
    assert torch.allclose(larger(torch.full((1, 1, 12, 12), 0.3)), torch.tensor(0.3))
    seen = replace(larger, size=7)(torch.rand(3, 1, 12, 12).round())
    assert seen.shape == (3, 1, 7, 7)
    assert seen.min() >= 0
    assert seen.max() <= 1


PLAIN = Inputs(1, 12, "crop", 1.0, (0.0,), (1.0,))


@pytest.mark.parametrize(
    ("wanted", "own", "expected"),
    [
        (None, None, (0, 1, 2)),
        (None, ["LABEL_0", "LABEL_1", "LABEL_2"], (0, 1, 2)),
        (None, ["Middle", "LEFT", "right"], (1, 0, 2)),
        ([2, 0, 1], ["Middle", "LEFT", "right"], (2, 0, 1)),
        (["right", "left", "middle"], None, (2, 0, 1)),
    ],
)
def test_class_order(wanted: list[Any] | None, own: list[str] | None, expected: tuple[int, ...]) -> None:
    assert class_order(wanted, own, CLASSES) == expected


def test_names_that_are_numbers_are_names() -> None:
    assert class_order([1, 2, 0], None, ["2", "1", "0"]) == (1, 0, 2)


def test_the_class_order_is_applied(tmp_path: Path) -> None:
    plain, turned = (
        load(of_torch(tmp_path, class_order=order))(IMAGES) for order in (None, ["right", "left", "middle"])
    )
    assert torch.equal(turned[:, [2, 0, 1]], plain)
