"""JSON of other people: what weights files and cards say fits a schema, or the file and the key are named."""

import json
import re
import struct

import pytest
import torch

from latreg.classifier.sut import load_sut
from latreg.config import DatasetConfig
from latreg.errors import LatregError
from latreg.generator.pretrained import read_network
from latreg.json_files import read_json, read_names
from latreg.validity.vae import load_validity_model
from latreg.zoo import weights

MNIST = DatasetConfig(name="mnist", channels=1, resolution=32, class_names=[str(i) for i in range(10)])
LOADERS = {
    "mnist_sut": ("classifier", lambda path: load_sut(str(path), MNIST)),
    "mnist_vae": ("vae", lambda path: load_validity_model(str(path), MNIST, 0.99)),
    "mnist_stylegan2_small": ("generator", read_network),
}


@pytest.fixture(scope="module")
def shipped():
    return {name: weights.load(weights.ZOO / f"{name}.safetensors", kind) for name, (kind, _) in LOADERS.items()}


def refusal(name, state, description, folder):
    """What the loader says of weights of one shipped network with another description."""
    path = folder / "weights.safetensors"
    weights.save(path, state, description, {}, half=False)
    with pytest.raises(LatregError) as caught:
        LOADERS[name][1](path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


CHANGES = [
    ("mnist_sut", {"network": 3}, "network in the description in .* must be text, got 3"),
    ("mnist_sut", {"network": "alexnet"}, "network in the description in .* must be one of airbench, "),
    ("mnist_sut", {"channels": "1"}, "channels in the description in .* must be a whole number, got '1'"),
    ("mnist_sut", {"num_classes": None}, "expected num_classes in the description in .*, got null"),
    ("mnist_sut", {"num_classes": 10.0}, "num_classes in the description in .* must be a whole number, got 10.0"),
    ("mnist_sut", {"network_args": [1]}, "network_args in the description in .* must be names with values, got a list"),
    (
        "mnist_sut",
        {"network_args": {"blocks": 10**9}},
        "blocks in network_args of .* must be a whole number of 1 to 64",
    ),
    (
        "mnist_sut",
        {"network_args": {"widths": [32, -1]}},
        "widths in network_args of .* must be a whole number of 1 to",
    ),
    (
        "mnist_sut",
        {"network_args": {"depth": 3}},
        "network_args in the description in .* do not fit the network resnet",
    ),
    ("mnist_sut", {"network_args": {"widths": [16384] * 3}}, "another architecture: .* tensors differ"),
    ("mnist_vae", {"widths": "wide"}, "widths in the description in .* must be a list, got 'wide'"),
    ("mnist_vae", {"widths": []}, "widths in the description in .* must name 1 to 14 widths"),
    ("mnist_vae", {"widths": [32, 64, True]}, "widths in the description in .* must be a whole number, got True"),
    ("mnist_vae", {"latent_dim": 2**40}, "latent_dim in the description in .* must be at most 16384"),
    ("mnist_stylegan2_small", {"arguments": None}, "expected arguments in the description in .*, got null"),
    ("mnist_stylegan2_small", {"arguments": [1]}, "expected names with values in arguments of .*, got a list"),
    ("mnist_stylegan2_small", {"arguments": {}}, "expected z_dim in arguments of the description in .*, got none"),
]
ARGUMENTS = [
    ({"z_dim": "x"}, "z_dim in arguments of the description in .* must be a whole number, got 'x'"),
    ({"img_resolution": 33}, "img_resolution in arguments of .* must be one of 8, 16, .*, got 33"),
    ({"channel_base": 1}, "the description in .* must be that of a network, but"),
    ({"mapping_layers": 10**6}, "mapping_layers in arguments of .* must be at most 64"),
    ({"conv_clamp": -1.0}, "conv_clamp in arguments of .* must be above 0"),
    ({"more": 1}, "expected no more in arguments of the description in .*, which latreg does not know"),
]


@pytest.mark.parametrize(("name", "changed", "message"), CHANGES)
def test_descriptions(name, changed, message, shipped, tmp_path):
    state, description = shipped[name]
    assert re.search(message, refusal(name, state, description | changed, tmp_path))


@pytest.mark.parametrize(("changed", "message"), ARGUMENTS)
def test_descriptions_of_generators(changed, message, shipped, tmp_path):
    state, description = shipped["mnist_stylegan2_small"]
    changed = description | {"arguments": description["arguments"] | changed}
    assert re.search(message, refusal("mnist_stylegan2_small", state, changed, tmp_path))


def test_whole_numbers_are_no_weights(shipped, tmp_path):
    """A flipped bit in the header of a file turns F32 into I32."""
    _, description = shipped["mnist_sut"]
    path = tmp_path / "weights.safetensors"
    weights.save(path, shipped["mnist_sut"][0], description, {}, half=False)
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"I32"'))
    with pytest.raises(LatregError, match=r"in .*weights.safetensors must hold floating-point numbers, got int32"):
        load_sut(str(path), MNIST)


@pytest.mark.parametrize("errors", [None, torch.zeros(0), torch.zeros(2, 2), torch.zeros(3, dtype=torch.int64)])
def test_held_out_errors(errors, shipped, tmp_path):
    state, description = shipped["mnist_vae"]
    state = {k: v for k, v in state.items() if k != "held_out_errors"} | (
        {} if errors is None else {"held_out_errors": errors}
    )
    assert "held_out_errors in" in refusal("mnist_vae", state, description, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[1]", "3"])
def test_descriptions_that_are_none(text, tmp_path):
    header = json.dumps({"__metadata__": {"latreg": text}}).encode()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    for load in (lambda path: weights.load(path, "vae"), weights.read_description):
        with pytest.raises(LatregError, match=r"in the description in .*weights\.safetensors"):
            load(path)


CARDS = {
    "": "expected JSON in .*, but it cannot be read",
    "[1]": "expected names with values in .*weights.json, got a list",
    '{"test_accuracy": "high"}': "test_accuracy in .*weights.json must be a number, got 'high'",
    '{"test_accuracy": NaN}': "test_accuracy in .*weights.json must be within 0 .. 1, got nan",
    '{"dataset": null}': "expected dataset in .*weights.json, got null",
    '{"guides": {}}': "guides in .*weights.json must be a list, got names with values",
    '{"guides": [{"name": "x"}]}': "expected sha256 in guides of .*weights.json, got none",
    '{"guides": [3]}': "expected names with values in guides of .*weights.json, got a number",
}


@pytest.mark.parametrize("text", CARDS)
def test_cards(text, tmp_path):
    (tmp_path / "weights.json").write_text(text)
    with pytest.raises(LatregError, match=CARDS[text]):
        weights.read_card(tmp_path / "weights.safetensors")


def test_a_card_may_say_little_or_more(tmp_path):
    (tmp_path / "weights.json").write_text('{"mine": [1]}')
    assert weights.read_card(tmp_path / "weights.safetensors") == {"mine": [1]}


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b'{"a": 1', b"1" * 5000])
def test_damaged_files(content, tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(LatregError, match="there is no such file"):
        read_json(path)
    path.write_bytes(content)
    with pytest.raises(LatregError, match=r"expected JSON in .*x\.json, but it cannot be read"):
        read_names(path)
