"""A classifier that was made elsewhere, as the system under test."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.classifier.adapters.answers import scores_of
from latreg.classifier.adapters.inputs import Inputs, Preset, make_inputs
from latreg.classifier.sut import check_images, finite
from latreg.config import DatasetConfig, OwnClassifierConfig
from latreg.errors import LatregError, reason

SUM_TOLERANCE = 0.01  # of probabilities, which may have been rounded on their way
DECIDED = 0.2  # of the sum of scores: what is between the largest and the smallest one on average
SUMS_SPREAD = 0.05  # of scores with a constant sum, relative to it: bytes are rounded
OUTPUTS = ("logits", "probabilities", "scores")


@dataclass(frozen=True)
class Model:
    """What a kind of classifier is loaded as.

    Attributes:
        answer: prepared images (N, C, H, W) on the device of the run => what `answers.scores_of` understands.
        files: all that decides what it answers, but the settings: the name of each file and its sha256.
        preset: what the model's own file says.
        batch: the one number of images that it takes; None = any.
    """

    answer: Callable[[Tensor], object]
    files: Mapping[str, str]
    preset: Preset = field(default_factory=Preset)
    batch: int | None = None

    @property
    def id(self) -> str:
        """The sha256 of the only file, or of those of all."""
        digests = list(self.files.values())
        return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


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
        outputs: logits | probabilities | scores.
        output: name or position of the output, where there are several; None = the one that fits.
        order: the class that each output stands for.
        channels: of the images that it is given.
        batch_size: images per call at most; None = as they come.
        device: where it runs.
        usage: counts what was asked. The images that fill up a batch of fixed size count too, as they cost as much.
        id: of the model. The settings around it stand in the run's config.yaml.
        files: as those of the model.
    """

    model: Model
    inputs: Inputs
    outputs: str
    output: str | None
    order: tuple[int, ...]
    channels: int
    batch_size: int | None
    device: torch.device
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        self.id = self.model.id
        self.files = dict(self.model.files)
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
        batches = torch.split(images, size)
        return finite(torch.cat([self._ask(self.inputs(batch.to(self.device))) for batch in batches]))

    def _ask(self, images: Tensor) -> Tensor:
        missing = (self.model.batch or len(images)) - len(images)
        full = F.pad(images, (0, 0) * 3 + (0, missing)) if missing else images
        shape = (len(full), self.num_classes)
        started = time.perf_counter()
        try:
            answer = self.model.answer(full)
        except LatregError:
            raise
        except Exception as error:  # a model of somebody else's may raise anything
            raise LatregError(
                f"the classifier failed on {str(full.dtype).removeprefix('torch.')} images {tuple(full.shape)}: "
                f"{reason(error)} (classifier.channels, .size, .layout and .batch_size say what it takes)"
            ) from error
        answers = scores_of(answer, *shape, self.outputs, self.output)[: len(images)].to(self.device)
        self.usage.images += len(full)
        self.usage.calls += 1
        self.usage.seconds += time.perf_counter() - started
        return answers

    def _probabilities(self, answers: Tensor) -> Tensor:
        if self.outputs == "logits":
            return answers.softmax(dim=1)
        if self.outputs == "scores":
            return _shares(answers)
        if not look_like_probabilities(answers):
            sums, scores = answers.sum(1), like_scores(answers)
            raise LatregError(
                "classifier.outputs=probabilities needs answers in [0, 1] that sum to 1, got values from "
                f"{answers.min():.3g} to {answers.max():.3g} with sums from {sums.min():.3g} to {sums.max():.3g}: "
                + (f"they {scores}" if scores else "if these are logits, classifier.outputs=logits is right")
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
    if config.outputs not in OUTPUTS:
        raise LatregError(f"classifier.outputs must be logits, probabilities or scores, got {config.outputs!r}")
    if config.batch_size is not None and config.batch_size < 1:
        raise LatregError(f"classifier.batch_size must be at least 1 or null, got {config.batch_size}")
    order = class_order(config.class_order, model.preset.class_names, dataset.class_names)
    inputs = make_inputs(config, model.preset, dataset)
    return AdaptedSUT(model, inputs, config.outputs, config.output, order, dataset.channels, config.batch_size, device)


def look_like_probabilities(answers: Tensor) -> bool:
    """Whether every row of (N, K) is a distribution."""
    sums_to_1 = ((answers.sum(1) - 1).abs() <= SUM_TOLERANCE).all()
    return bool((answers >= -SUM_TOLERANCE).all() and sums_to_1)


def like_scores(answers: Tensor) -> str | None:
    """How answers (N, K) show that they are scores, and neither logits nor probabilities; None where they do not."""
    sums, low, high = answers.sum(1), float(answers.min()), float(answers.max())
    total = float(sums.mean())
    decided = float((answers.amax(1) - answers.amin(1)).mean()) > DECIDED * total  # else all answers are alike
    cure = "do: classifier.outputs=scores is right then"
    if low < -SUM_TOLERANCE or high - low < SUM_TOLERANCE or look_like_probabilities(answers):
        return None
    if len(sums) > 1 and decided and float(sums.max() - sums.min()) <= SUMS_SPREAD * total:
        return f"are at least 0 and sum to about {total:.4g} for every image, as percentages and votes {cure}"
    if high <= 1 + SUM_TOLERANCE:
        return f"are in [0, 1] and sum to {sums.min():.3g} .. {sums.max():.3g}, as sigmoids {cure}"
    return None


def _shares(scores: Tensor) -> Tensor:
    """Scores (N, K) divided by their sum; where all are 0, every class has the same share."""
    if scores.numel() and scores.min() < -SUM_TOLERANCE:
        raise LatregError(
            f"classifier.outputs=scores needs answers of at least 0, got {scores.min():.3g}: if these are logits, "
            "classifier.outputs=logits is right"
        )
    tiny = torch.finfo(torch.float32).tiny
    scores = scores.clamp(min=0) + tiny
    return scores / scores.sum(dim=1, keepdim=True)


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
