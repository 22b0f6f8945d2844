import os
from pathlib import Path
from typing import cast

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from latreg.classifier.networks import NETWORKS, build
from latreg.classifier.sut import accuracy, check_accuracy, load_sut
from latreg.config import DatasetConfig, conf_dir
from latreg.data.images import ImageSet
from latreg.errors import LatregError
from latreg.training.datamodule import DataModule
from latreg.zoo import weights
from tests.helpers.stripes import CLASSES, stripes

DATASET = DatasetConfig(name="stripes", channels=1, resolution=16, class_names=CLASSES)


def classifiers_shipped() -> list[str]:
    cards = {path.stem: weights.read_card(path) for path in weights.ZOO.glob("*.safetensors")}
    return sorted(name for name, card in cards.items() if card.get("kind") == "classifier")


def stored(path: Path, kind: str = "classifier", name: str = "resnet", channels: int = 1, num_classes: int = 3) -> str:
    torch.manual_seed(0)
    network = build(name, channels, num_classes, {})
    description = {
        "kind": kind, "network": name, "network_args": {}, "channels": channels, "num_classes": num_classes
    }  # fmt: skip
    weights.save(path, network.state_dict(), description, {"name": "x"}, half=False)
    return str(path)


class Oracle:
    """Right on stripes, except for the first `wrong` images it sees."""

    id = "oracle"
    num_classes = 3

    def __init__(self, wrong: int = 0) -> None:
        self.wrong = wrong

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        brightness = images.mean((1, 2)).unfold(1, 4, 4).mean(2)
        n = min(self.wrong, len(images))
        self.wrong -= n
        brightness[:n] *= -1
        return brightness


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_contract(name: str, tmp_path: Path) -> None:
    path = stored(tmp_path / "x.safetensors", name=name)
    sut = load_sut(path, DATASET)
    images = torch.rand(5, 1, 32, 32)
    probabilities = sut(images)
    assert probabilities.shape == (5, 3)
    assert sut.num_classes == 3
    assert sut.id == weights.sha256(Path(path))
    assert not probabilities.requires_grad
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5))
    assert torch.equal(sut(images), probabilities)
    assert torch.equal(load_sut(path, DATASET)(images), probabilities)
    torch.testing.assert_close(sut(images[2:3]), probabilities[2:3], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            torch.zeros(1, 1, 16, 16, dtype=torch.uint8),
            r"takes float images \(N, 1, H, W\), got uint8 \(1, 1, 16, 16\)",
        ),
        (torch.zeros(1, 3, 16, 16), r"takes float images \(N, 1, H, W\), got float32 \(1, 3, 16, 16\)"),
        (torch.full((1, 1, 16, 16), 255.0), r"takes images in \[0, 1\], got values from 255 to 255"),
        (torch.full((1, 1, 16, 16), -1.0), r"takes images in \[0, 1\], got values from -1"),
        (torch.full((1, 1, 16, 16), torch.nan), r"takes images in \[0, 1\], got values from nan"),
    ],
)
def test_refuses_other_images(images: torch.Tensor, message: str, tmp_path: Path) -> None:
    sut = load_sut(stored(tmp_path / "x.safetensors"), DATASET)
    with pytest.raises(LatregError, match=message):
        sut(images)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"kind": "generator"}, "expected weights of a classifier in .*, got those of a generator"),
        ({"num_classes": 4}, "data set stripes needs a classifier with num_classes=3.* has num_classes=4"),
        ({"channels": 3}, "data set stripes needs a classifier with channels=1.* has channels=3"),
    ],
)
def test_refuses_other_weights(other: dict[str, object], message: str, tmp_path: Path) -> None:
    path = stored(tmp_path / "x.safetensors", **other)  # type: ignore[arg-type]
    with pytest.raises(LatregError, match=message):
        load_sut(path, DATASET)


def test_refuses_no_weights() -> None:
    with pytest.raises(LatregError, match=r"classifier.weights must name a weights file or zoo:<name>, got null"):
        load_sut(None, DATASET)
    with pytest.raises(LatregError, match=r"classifier.weights must name an existing file, got zoo:nothing"):
        load_sut("zoo:nothing", DATASET)


def test_accuracy_counts() -> None:
    data = stripes(100, seed=1)
    assert accuracy(Oracle(), data, batch_size=7) == 1
    assert accuracy(Oracle(wrong=9), data, batch_size=7) == 0.91


def test_check_accepts_what_the_card_says_and_binomial_noise() -> None:
    data = stripes(100, seed=1)
    check_accuracy(Oracle(), data, {"test_accuracy": 1.0}, 100)
    check_accuracy(Oracle(), data, {"test_accuracy": 0.9}, 50)
    check_accuracy(Oracle(wrong=20), data, {"test_accuracy": 0.9}, 100)  # 4 standard errors are 0.12


def test_check_uses_the_first_images_only() -> None:
    good, bad = stripes(50, seed=1), stripes(50, seed=2)
    data = ImageSet(torch.cat([good.images, bad.images]), torch.cat([good.labels, (bad.labels + 1) % 3]))
    check_accuracy(Oracle(), data, {"test_accuracy": 1.0}, 50)
    with pytest.raises(LatregError, match=r"card says 1.0000 .* expected on 100 of them, but it was 0.5000"):
        check_accuracy(Oracle(), data, {"test_accuracy": 1.0}, 1000)


def test_check_refuses_less_and_can_be_skipped() -> None:
    data = stripes(100, seed=1)
    with pytest.raises(LatregError, match=r"card says 0.9000 of test images are classified right, so at least 0.7700"):
        check_accuracy(Oracle(wrong=24), data, {"test_accuracy": 0.9}, 100)
    with pytest.raises(LatregError, match="must have a test_accuracy"):
        check_accuracy(Oracle(), data, {}, 100)
    check_accuracy(Oracle(wrong=100), data, {}, 0)


@pytest.mark.skipif(not os.environ.get("LATREG_DATA"), reason="needs the real images: set LATREG_DATA")
@pytest.mark.parametrize("name", classifiers_shipped())
def test_shipped_weights_reach_their_card(name: str) -> None:
    card = weights.read_card(weights.ZOO / f"{name}.safetensors")
    saved = cast(DictConfig, OmegaConf.load(Path(conf_dir()) / "dataset" / f"{card['dataset']}.yaml"))
    saved.pop("defaults", None)  # of the networks that a search of it takes
    dataset = cast(DatasetConfig, OmegaConf.merge(OmegaConf.structured(DatasetConfig), saved))
    sut = load_sut(f"zoo:{name}", dataset)
    assert sut.card["sha256"] == sut.id
    check_accuracy(sut, DataModule(dataset, run_seed=0).split("test"), sut.card, 1000)


def test_sut_and_judge_for_mnist_are_shipped() -> None:
    names = ["mnist_sut", "mnist_judge_a", "mnist_judge_b", "mnist_judge_c"]
    cards = [weights.read_card(weights.ZOO / f"{name}.safetensors") for name in names]
    assert len({card["network"] for card in cards}) == len({card["run_seed"] for card in cards}) == len(cards)
    for card in cards:
        low, high = card["test_accuracy_ci95"]
        assert 0.99 < low < card["test_accuracy"] < high
        assert card["command"].startswith("python -m latreg.run +experiment=mnist_")
