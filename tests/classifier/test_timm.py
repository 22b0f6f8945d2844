"""Models of timm: their images are prepared as timm does, or the key that cannot be followed is named."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from latreg.classifier.adapters import load_classifier
from latreg.config import DatasetConfig, HuggingFaceClassifierConfig, OwnClassifierConfig, TimmClassifierConfig
from latreg.data.images import to_unit
from latreg.errors import LatregError
from tests.helpers.stripes import CLASSES

DATASET = DatasetConfig(name="stripes", channels=3, resolution=12, class_names=CLASSES)
CPU = torch.device("cpu")
NETWORK = "test_resnet"
OWN = {"input_size": [3, 24, 24], "interpolation": "bicubic", "crop_pct": 0.8, "mean": [0.4, 0.5, 0.6], "std": [0.1]}
IMAGES = torch.randint(0, 256, (3, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def write_card(folder: Path, **changed: Any) -> dict[str, Any]:
    """A folder as timm writes it for the hub."""
    own = {**OWN, **changed}
    names = list(reversed(CLASSES))
    card = {"architecture": NETWORK, "num_classes": 3, "num_features": 64, "label_names": names, "pretrained_cfg": own}
    (folder / "config.json").write_text(json.dumps(card))
    return own


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    timm = pytest.importorskip("timm", reason="needs timm and torchvision", exc_type=Exception)
    path = tmp_path_factory.mktemp("timm")
    save_file(timm.create_model(NETWORK, num_classes=3).state_dict(), path / "model.safetensors")
    return path


def ways(folder: Path) -> list[OwnClassifierConfig]:
    """Both adapters that read such a folder."""
    of_timm = TimmClassifierConfig(network=NETWORK, weights=str(folder / "model.safetensors"))
    has_hf = importlib.util.find_spec("transformers") is not None
    return [of_timm, *([HuggingFaceClassifierConfig(weights=str(folder))] if has_hf else [])]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"interpolation": "nearest"},
        {"crop_pct": 1.0},
        {"crop_mode": "squash"},
        {"crop_mode": "border", "crop_pct": 1.5},
        {"mean": None, "std": None, "crop_pct": None},
    ],
)
def test_images_are_prepared_as_timm_does(changed: dict[str, Any], folder: Path) -> None:
    from timm.data import create_transform, resolve_data_config

    own = write_card(folder, **changed)
    transform = create_transform(**resolve_data_config(own))
    expected = torch.stack([transform(Image.fromarray(one.permute(1, 2, 0).numpy())) for one in IMAGES])
    for config in ways(folder):
        sut = load_classifier(config, DATASET, CPU)
        assert torch.equal(sut.inputs(to_unit(IMAGES)), expected)
        assert set(sut.files) == {"model.safetensors", "config.json"}
        assert sut.order == (2, 1, 0)
        assert load_classifier(replace(config, size=30), DATASET, CPU).inputs(to_unit(IMAGES)).shape[-1] == 30
        plain = load_classifier(replace(config, mean=[0.0], std=[1.0]), DATASET, CPU).inputs(to_unit(IMAGES))
        mean, std = (torch.tensor(values)[:, None, None] for values in (sut.inputs.mean, sut.inputs.std))
        if changed.get("crop_mode") != "border":  # whose border has the colour of the mean
            torch.testing.assert_close((plain - mean) / std, expected)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input_size": [3, 24, 12]}, r"input_size of .*config.json must be channels and a square, got \(3, 24, 12\)"),
        ({"input_size": "x"}, r"the pretrained_cfg of .*config.json cannot be used"),
        ({"interpolation": "random"}, r"timm cannot prepare images as .*config.json says, with .*'random'"),
        ({"crop_pct": 1e-4}, r"crop_pct of .*config.json must be 0.1 .. 10, got 0.0001"),
        ({"mean": [0.1, 0.2]}, r"mean of .*config.json must have 1 value or 3, one for each channel"),
        ({"std": ["x"]}, r"std of .*config.json must be made of finite numbers, got 'x'"),
        ({"std": [0]}, r"timm cannot prepare images as .*config.json says, with .*'std': \(0"),
    ],
)
def test_what_cannot_be_followed_is_named(changed: dict[str, Any], message: str, folder: Path) -> None:
    write_card(folder, **changed)
    for config in ways(folder):
        with pytest.raises(LatregError, match=message):
            load_classifier(config, DATASET, CPU)


def test_weights_alone_say_nothing_of_their_images(folder: Path) -> None:
    (folder / "config.json").unlink(missing_ok=True)
    sut = load_classifier(ways(folder)[0], DATASET, CPU)
    assert (sut.inputs.preprocessor, sut.inputs.mean, sut.inputs.size) == (None, (0.0,) * 3, 12)
    assert set(sut.files) == {"model.safetensors"}


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is there")
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs the extra hf")
def test_a_folder_of_timm_names_timm_where_it_is_missing(tmp_path: Path) -> None:
    write_card(tmp_path)
    save_file({"conv1.0.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(LatregError, match=r"timm"):
        load_classifier(HuggingFaceClassifierConfig(weights=str(tmp_path)), DATASET, CPU)
