"""A classifier that was made elsewhere, as the system under test."""

import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.classifier.adapters.inputs import Inputs, Preset, make_inputs
from latreg.classifier.sut import check_images
from latreg.config import DatasetConfig, OwnClassifierConfig
from latreg.errors import LatregError

SUM_TOLERANCE = 0.01  # of probabilities, which may have been rounded on their way


@dataclass(frozen=True)
class Model:
    """What a kind of classifier is loaded as.

    Attributes:
        answer: prepared images (N, C, H, W) on the device of the run => logits or probabilities (N, K).
        id: sha256 of the weights.
        preset: what the model's own file says.
        batch: the one number of images that it takes; None = any.
    """

    answer: Callable[[Tensor], Tensor]
    id: str
    preset: Preset = field(default_factory=Preset)
    batch: int | None = None


@dataclass
class Usage:
    """How often a classifier was asked, and how long it took to answer."""

    images: int = 0
    calls: int = 0
    seconds: float = 0.0

    def add(self, other: "Usage") -> None:
        """Count what another process has asked."""
        self.images += other.images
        self.calls += other.calls
        self.seconds += other.seconds


@dataclass
class AdaptedSUT:
    """Prepares images, asks the model, and makes its answers probabilities in the data set's order of classes.

    Attributes:
        model: what answers.
        inputs: what the images become.
        outputs: logits | probabilities.
        order: the class that each output stands for.
        channels: of the images that it is given.
        batch_size: images per call at most; None = as they come.
        device: where it runs.
        usage: counts what was asked. The images that fill up a batch of fixed size count too, as they cost as much.
        id: of the model. The settings around it stand in the run's config.yaml.
    """

    model: Model
    inputs: Inputs
    outputs: str
    order: tuple[int, ...]
    channels: int
    batch_size: int | None
    device: torch.device
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        self.id = self.model.id
        self.num_classes = len(self.order)

    def with_inputs(self, inputs: Inputs) -> "AdaptedSUT":
        """The same model with other inputs."""
        changed = copy(self)
        changed.inputs = inputs
        return changed

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => probabilities (N, K).

        Raises:
            LatregError: the images are not of the data set's kind, the model fails, or what it answers is no
                distribution over the classes.
        """
        return self._probabilities(self.raw(images))[:, self._columns()]

    @torch.no_grad()
    def raw(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => what the model answers, (N, K) float32 in its own order of classes."""
        check_images(images, self.channels)
        if not len(images):
            return torch.zeros(0, self.num_classes)
        size = self.model.batch or self.batch_size or len(images)
        return torch.cat([self._ask(self.inputs(batch.to(self.device))) for batch in torch.split(images, size)])

    def _ask(self, images: Tensor) -> Tensor:
        missing = (self.model.batch or len(images)) - len(images)
        full = F.pad(images, (0, 0) * 3 + (0, missing)) if missing else images
        started = time.perf_counter()
        try:
            answers = self.model.answer(full)
        except LatregError:
            raise
        except Exception as error:  # a model of somebody else's may raise anything
            raise LatregError(
                f"the classifier failed on images {tuple(full.shape)}: {type(error).__name__}: {_first_line(error)} "
                "(classifier.channels, .size and .batch_size say what it takes)"
            ) from error
        if answers.shape != (len(full), self.num_classes):
            raise LatregError(
                f"the classifier must answer {len(full)} images with one number for each of the {self.num_classes} "
                f"classes of the data set, {(len(full), self.num_classes)}, got {tuple(answers.shape)}"
            )
        answers = answers[: len(images)].float()
        if not answers.isfinite().all():
            raise LatregError("the classifier must answer with finite numbers, got nan or infinite ones")
        self.usage.images += len(full)
        self.usage.calls += 1
        self.usage.seconds += time.perf_counter() - started
        return answers

    def _probabilities(self, answers: Tensor) -> Tensor:
        if self.outputs == "logits":
            return answers.softmax(dim=1)
        if not look_like_probabilities(answers):
            sums = answers.sum(1)
            raise LatregError(
                "classifier.outputs=probabilities needs answers in [0, 1] that sum to 1, got values from "
                f"{answers.min():.3g} to {answers.max():.3g} with sums from {sums.min():.3g} to {sums.max():.3g}: "
                "if these are logits, classifier.outputs=logits is right"
            )
        return answers

    def _columns(self) -> list[int]:
        """The output that stands for each class."""
        return sorted(range(len(self.order)), key=self.order.__getitem__)


def make_sut(config: OwnClassifierConfig, model: Model, dataset: DatasetConfig, device: torch.device) -> AdaptedSUT:
    """A loaded model with the settings around it.

    Raises:
        LatregError: a setting is out of its range or does not fit the data set.
    """
    if config.outputs not in ("logits", "probabilities"):
        raise LatregError(f"classifier.outputs must be logits or probabilities, got {config.outputs!r}")
    if config.batch_size is not None and config.batch_size < 1:
        raise LatregError(f"classifier.batch_size must be at least 1 or null, got {config.batch_size}")
    order = class_order(config.class_order, model.preset.class_names, dataset.class_names)
    inputs = make_inputs(config, model.preset, dataset)
    return AdaptedSUT(model, inputs, config.outputs, order, dataset.channels, config.batch_size, device)


def look_like_probabilities(answers: Tensor) -> bool:
    """Whether every row of (N, K) is a distribution."""
    sums_to_1 = ((answers.sum(1) - 1).abs() <= SUM_TOLERANCE).all()
    return bool((answers >= -SUM_TOLERANCE).all() and sums_to_1)


def class_order(wanted: Sequence[Any] | None, own: Sequence[str] | None, names: Sequence[str]) -> tuple[int, ...]:
    """The class that each output stands for.

    Args:
        wanted: names or numbers of the data set's classes; None = those that the model's file names, if they are the
            data set's, else the data set's order.
        own: names in the model's file.
        names: of the data set's classes.

    Raises:
        LatregError: wanted is no permutation of the data set's classes.
    """
    numbers = {name.casefold(): number for number, name in enumerate(names)}
    if wanted is None:
        known = [numbers.get(name.casefold(), -1) for name in own or ()]
        return tuple(known) if sorted(known) == list(range(len(names))) else tuple(range(len(names)))
    order = [numbers.get(str(entry).casefold(), entry) for entry in wanted]
    if sorted(map(str, order)) != sorted(map(str, range(len(names)))):
        raise LatregError(
            f"classifier.class_order must name each of the {len(names)} classes once, {list(names)} or their numbers "
            f"from 0 on, got {list(wanted)}"
        )
    return tuple(int(number) for number in order)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
