"""A classifier that is not understood is refused, and the message names why."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from latreg.classifier.adapters import AdaptedSUT, load_classifier
from latreg.classifier.adapters.inputs import Inputs
from latreg.classifier.adapters.sanity import check_sanity, other_inputs
from latreg.config import CallableClassifierConfig, DatasetConfig, TorchClassifierConfig
from latreg.data.images import ImageSet, pad_to
from latreg.errors import LatregError
from tests.helpers.small_net import Blind, Eye
from tests.helpers.stripes import CLASSES, stripes

DATASET = DatasetConfig(name="stripes", channels=1, resolution=12, class_names=CLASSES)
DATA = stripes(300, seed=5)
HERE = "tests.helpers.small_net"


def load(folder: Path, network: torch.nn.Module, dataset: DatasetConfig = DATASET, **settings: Any) -> AdaptedSUT:
    torch.save(network.state_dict(), folder / "net.pt")
    arguments = {"expects": network.expects} if isinstance(network, Eye) else {}
    config = TorchClassifierConfig(
        network=f"{HERE}.{type(network).__name__}",
        network_args=arguments,
        weights=str(folder / "net.pt"),
        **settings,
    )
    sut = load_classifier(config, dataset, torch.device("cpu"))
    assert isinstance(sut, AdaptedSUT)
    return sut


def refusal(sut: AdaptedSUT, data: ImageSet = DATA, min_accuracy: float | None = None) -> str:
    with pytest.raises(LatregError) as caught:
        check_sanity(sut, data, CLASSES, min_accuracy)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("expects", "settings"),
    [
        ("unit", {}),
        ("bytes", {"white": 255.0}),
        ("half", {"mean": [0.5], "std": [0.5]}),
        ("negative", {"mean": [1.0], "std": [-1.0]}),
    ],
)
def test_a_classifier_that_is_fed_well_passes(
    expects: str, settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert check_sanity(load(tmp_path, Eye(expects), **settings), DATA, CLASSES, None) == 1
    assert caplog.messages == ["the classifier is right on 100.0 % of 300 test images (95 %: 98.7 to 100.0)"]


@pytest.mark.parametrize(
    ("expects", "settings", "cause", "remedy"),
    [
        ("bytes", {}, "it takes pixels of 0..255, and was fed 0..1", "classifier.white=255"),
        ("unit", {"white": 255.0}, "it takes pixels of 0..1, and was fed 0..255", "classifier.white=1"),
        (
            "half",
            {},
            "its normalization is another one",
            "classifier.mean=[0.5] classifier.std=[0.5]",
        ),
        (
            "unit",
            {"mean": [5.0], "std": [0.1]},
            "its normalization is another one",
            "classifier.mean=[0] classifier.std=[1]",
        ),
        (
            "negative",
            {},
            "it was trained on the negative of these images",
            "classifier.mean=[1] classifier.std=[-1]",
        ),
    ],
)
def test_the_range_and_the_normalization_are_named(
    expects: str, settings: dict[str, Any], cause: str, remedy: str, tmp_path: Path
) -> None:
    message = refusal(load(tmp_path, Eye(expects), **settings))
    assert "0.6667 was expected (classifier.min_accuracy): probably" in message
    assert message.endswith(f"probably {cause}; with {remedy} it is right on 1.0000 of 200")


@pytest.mark.parametrize("order", [[1, 2, 0], [2, 0, 1], [0, 2, 1]])
def test_another_order_of_the_classes_is_named(order: list[int], tmp_path: Path) -> None:
    eye = Eye()
    eye.linear.weight.data = eye.linear.weight.data[order]
    settings = f"classifier.class_order=[{','.join(map(str, order))}]"
    assert refusal(load(tmp_path, eye)).endswith(
        f"probably its classes are in another order; with {settings} it is right on 1.0000 of 300"
    )
    assert check_sanity(load(tmp_path, eye, class_order=order), DATA, CLASSES, None) == 1
    assert settings in refusal(load(tmp_path, eye, class_order=[2, 1, 0])) or order == [2, 1, 0]


def test_two_exchanged_classes_are_found_above_the_lowest_accuracy(tmp_path: Path) -> None:
    eye = Eye()
    eye.linear.weight.data = eye.linear.weight.data[[0, 2, 1]]
    assert "classifier.class_order=[0,2,1]" in refusal(load(tmp_path, eye), min_accuracy=0.1)


def test_two_causes_at_once_are_named(tmp_path: Path) -> None:
    eye = Eye("bytes")
    eye.linear.weight.data = eye.linear.weight.data[[1, 2, 0]]
    assert refusal(load(tmp_path, eye)).endswith(
        "probably it takes pixels of 0..255, and was fed 0..1 and its classes are in another order; "
        "with classifier.white=255 classifier.class_order=[1,2,0] it is right on 1.0000 of 200"
    )


def test_a_border_that_was_scaled_is_named(tmp_path: Path) -> None:
    padded = ImageSet(pad_to(DATA.images, 40), DATA.labels)
    dataset = DatasetConfig(name="stripes", channels=1, resolution=40, class_names=CLASSES)
    settings = {"size": 12, "mean": [0.0]}
    assert check_sanity(load(tmp_path, Eye(), dataset, fit="crop", **settings), padded, CLASSES, None) == 1
    message = refusal(load(tmp_path, Eye(), dataset, fit="resize", **settings), padded, min_accuracy=0.999)
    assert "its images must be cut to its size; with classifier.fit=crop it is right on 1.0000 of 200" in message


def test_logits_for_probabilities_and_the_other_way_round(tmp_path: Path) -> None:
    message = refusal(load(tmp_path, Eye(), outputs="probabilities"))
    assert "if these are logits, classifier.outputs=logits is right" in message
    config = CallableClassifierConfig(function=f"{HERE}.probabilities", outputs="logits")
    sut = load_classifier(config, DATASET, torch.device("cpu"))
    assert isinstance(sut, AdaptedSUT)
    assert "classifier.outputs=probabilities is right then" in refusal(sut)


def test_a_hopeless_one_is_refused_without_a_cause(tmp_path: Path) -> None:
    message = refusal(load(tmp_path, Blind()))
    assert "4 other ranges, normalizations and sizes were tried" in message
    assert "are these its weights, and this the data it knows?" in message


def test_the_lowest_accuracy_is_a_setting(tmp_path: Path) -> None:
    sut = load(tmp_path, Blind())
    assert check_sanity(sut, DATA, CLASSES, 0.2) < 0.5
    assert "at least 0.9000 was expected" in refusal(sut, min_accuracy=0.9)


def test_each_trial_is_another_one() -> None:
    plain = Inputs(3, 8, "crop", 1.0, (0.0,) * 3, (1.0,) * 3)
    tried = other_inputs(plain, torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8))
    assert len(set(tried)) == len(tried) == 8
    assert plain not in tried


class Nearly(torch.nn.Module):
    """Right on all images that are normalized, and on most of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Eye("unit")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        normalized = images.amin((1, 2, 3)) < 0
        answers: torch.Tensor = self.inner(torch.where(normalized[:, None, None, None], images * 0.5 + 0.5, images))
        corner = (images[:, 0, 0, 0] * 255).round()
        return torch.where((~normalized & (corner % 10 == 0))[:, None], -answers, answers)


class Scaled(torch.nn.Module):
    """Divides by the brightest pixel, so that it hardly depends on the range."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Eye("unit")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        brightest = images.amax((1, 2, 3), keepdim=True)
        answers: torch.Tensor = self.inner(images / brightest.clamp(min=1))
        odd = (brightest.flatten(1) <= 1) & (images[:, 0, 0, :1] < 0.006)
        return torch.where(odd, -answers, answers)


def test_a_range_that_makes_little_difference_is_not_the_cause(tmp_path: Path) -> None:
    torch.save(Scaled().state_dict(), tmp_path / "net.pt")
    config = TorchClassifierConfig(
        network=f"{__name__}.Scaled", weights=str(tmp_path / "net.pt"), mean=[1.0], std=[-1.0]
    )
    sut = load_classifier(config, DATASET, torch.device("cpu"))
    assert isinstance(sut, AdaptedSUT)
    assert "probably its normalization is another one; with classifier.mean=" in refusal(sut)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Whatever level an earlier test left behind."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_inputs_that_do_better_are_named_in_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(Nearly().state_dict(), tmp_path / "net.pt")
    config = TorchClassifierConfig(network=f"{__name__}.Nearly", weights=str(tmp_path / "net.pt"))
    sut = load_classifier(config, DATASET, torch.device("cpu"))
    assert isinstance(sut, AdaptedSUT)
    assert 0.85 < check_sanity(sut, DATA, CLASSES, None) < 0.95
    assert warnings(caplog) == [
        "maybe its normalization is another one: with classifier.mean=[0.5] classifier.std=[0.5] "
        "it is right on 100.0 % of them"
    ]
    caplog.clear()
    before = sut.usage.images
    check_sanity(sut, DATA, CLASSES, None, try_others=False)
    assert not warnings(caplog)
    assert sut.usage.images == before + 300 + 2 * 200 + 8
