"""Does training on with the faults of a search repair a classifier? Measured on faults that it was not shown.

The faults are split by the z_seed of their sources, so nothing of a held-out fault's latent was trained on. Three arms
are trained alike, from the same weights on as many images: with the faults of one half, with the sources of these very
faults, which are plain samples of the generator, and with real training images alone. Faults lie near the boundary, so
any change of the weights turns some of them round. What faults are good for is what their arm has over the other two.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latreg.classifier.finetuning import Finetuning, mixture
from latreg.classifier.networks import Classifier
from latreg.classifier.sut import TorchSUT, predictions
from latreg.data.images import ImageSet
from latreg.errors import LatregError
from latreg.measures import statistics
from latreg.measures.metrics import wilson
from latreg.runs.faults import Fault

log = logging.getLogger(__name__)

FAULTS, SAMPLES, REAL = ARMS = ("faults", "samples", "real")  # what is trained on, beside the real images of all three

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """How much is trained.

    Attributes:
        images: that each training is shown.
        share: of the faults or samples among them, each of which is shown again and again.
        repetitions: with other halves, batches and augmentations.
    """

    images: int = 10_240
    share: float = 0.05
    repetitions: int = 3


@dataclass(frozen=True, eq=False)
class Material:
    """What is trained on and measured with: faults and their sources, N each, in one order; and real images."""

    faults: ImageSet
    sources: ImageSet
    z_seeds: NDArray[np.int64]  # (N,), of the sources
    kept: Flags  # (N,): the held-out judge still sees the class; all False where there is none
    train: ImageSet
    test: ImageSet


@dataclass(frozen=True, eq=False)
class Answers:
    """Whether a classifier is right: on each fault (N,), on each source (N,), on each real test image (M,)."""

    faults: Flags
    sources: Flags
    test: Flags


@dataclass(frozen=True, eq=False)
class Repetition:
    """The held-out faults (N,) of one split, and what the arms answered."""

    held_out: Flags
    arms: dict[str, Answers]


def material_of(faults: Sequence[Fault], train: ImageSet, test: ImageSet) -> Material:
    """Faults with what they are compared with.

    Raises:
        LatregError: all come from one z_seed, so that they have no halves; or there are sources that the classifier
            already gets wrong, as without a search, so that they are no samples to compare with.
    """
    records = [fault.record for fault in faults]
    if wrong := sum(record.source_predicted != record.label for record in records):
        raise LatregError(
            f"expected faults that a search found, whose sources the classifier gets right, but of {len(records)} "
            f"sources it gets {wrong} wrong"
        )
    z_seeds = np.array([record.z_seed for record in records])
    if len(set(z_seeds.tolist())) < 2:
        raise LatregError(f"expected faults of two z_seeds or more, half of which are held out, got {len(records)}")
    labels = torch.tensor([record.label for record in records])
    images, sources = ([f.image for f in faults], [r.source_image for r in records])
    kept = np.array([fault.measured.get("held_out") is True for fault in faults])
    return Material(ImageSet(_stacked(images), labels), ImageSet(_stacked(sources), labels), z_seeds, kept, train, test)


def _stacked(images: Sequence[Any]) -> Tensor:
    return torch.from_numpy(np.stack(images))


def repeat(
    finetuning: Finetuning, material: Material, plan: Plan, keep: Callable[[int, Classifier, Answers], None]
) -> list[Repetition]:
    """Train all arms of all repetitions.

    Args:
        keep: is given the number of each repetition, and the network that faults were shown to with its answers.
    """
    found = []
    for number in range(plan.repetitions):
        held_out = halved(material.z_seeds, number)
        arms = {}
        for arm in ARMS:
            network = _trained(finetuning, material, plan, arm, ~held_out, number)
            arms[arm] = answers_of(network, material)
            if arm == FAULTS:
                keep(number, network, arms[arm])
            log.info(
                "repetition %d of %d, trained with %s: %d of %d held-out faults right, test accuracy %.4f",
                *(number + 1, plan.repetitions, arm),
                *(arms[arm].faults[held_out].sum(), held_out.sum(), arms[arm].test.mean()),
            )
        found.append(Repetition(held_out, arms))
    return found


def halved(z_seeds: NDArray[np.int64], number: int) -> Flags:
    """Which faults are held out in a repetition: those of half of the z_seeds."""
    distinct = np.unique(z_seeds)
    drawn = np.random.default_rng([number, 2]).permutation(distinct)[: len(distinct) // 2]
    return np.isin(z_seeds, drawn)


def _trained(finetuning: Finetuning, material: Material, plan: Plan, arm: str, shown: Flags, number: int) -> Classifier:
    """The network of one arm; `shown` (N,) says which faults or sources are trained on."""
    index = torch.from_numpy(np.flatnonzero(shown) if arm != REAL else np.zeros(0, dtype=np.int64))
    others = material.faults if arm == FAULTS else material.sources
    chosen = ImageSet(others.images[index], others.labels[index])
    return finetuning(mixture(material.train, chosen, plan.images, plan.share, number), number)


def answers_of(network: Classifier, material: Material) -> Answers:
    """What a network gets right of all images that it is measured on."""
    sut = TorchSUT(network, "", torch.device("cpu"), {})
    sets = (material.faults, material.sources, material.test)
    return Answers(*((predictions(sut, data.images) == data.labels).numpy() for data in sets))


# ---- numbers


def summary(repetitions: Sequence[Repetition], before: Answers, material: Material) -> dict[str, Any]:
    """All numbers of a repair.

    Args:
        repetitions: at least one.
        before: what the classifier got right.
        material: as it was trained and measured with.
    """
    arms = {arm: _of_arm(repetitions, arm, before, material.kept) for arm in ARMS}
    contrasts = {f"{FAULTS}_over_{arm}": _contrast(repetitions, arm, material.z_seeds) for arm in (SAMPLES, REAL)}
    return {
        "before": {name: _share([getattr(before, name)]) for name in ("faults", "sources")} | accuracy_of(before),
        "arms": arms,
        **contrasts,
    }


def _of_arm(repetitions: Sequence[Repetition], arm: str, before: Answers, kept: Flags) -> dict[str, Any]:
    held_out = [repetition.held_out for repetition in repetitions]
    answers = [repetition.arms[arm] for repetition in repetitions]
    right, asked = _counts(repetitions, arm)
    pairs = list(zip(answers, held_out, strict=True))
    return {
        "corrected": _mean_share(right, asked),
        "corrected_of_kept": _mean_share(right[kept], asked[kept]),
        "trained_on": _share([own.faults[~out] for own, out in pairs]),
        "sources": _share([own.sources[out] for own, out in pairs]),
        "test_accuracy": float(np.mean([own.test.mean() for own in answers])),
        "repetitions": [_of_repetition(own, out, before) for own, out in pairs],
    }


def _of_repetition(own: Answers, held_out: Flags, before: Answers) -> dict[str, Any]:
    return {
        "corrected": _share([own.faults[held_out]]),
        **accuracy_of(own),
        "test_gained": int((own.test & ~before.test).sum()),
        "test_lost": int((before.test & ~own.test).sum()),
    }


def accuracy_of(answers: Answers) -> dict[str, Any]:
    """On the real test images, with Wilson's interval."""
    right, n = int(answers.test.sum()), len(answers.test)
    return {"test_accuracy": right / n, "test_accuracy_ci95": wilson(right, n), "test_images": n}


def _share(flags: Sequence[Flags]) -> dict[str, Any]:
    """How many are right, of all, and the share with its interval; the share is None of none."""
    right, n = sum(int(own.sum()) for own in flags), sum(map(len, flags))
    return {"right": right, "of": n, "rate": right / n if n else None, "rate_ci95": wilson(right, n)}


def _counts(repetitions: Sequence[Repetition], arm: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """In how many repetitions each fault (N,) was held out and corrected, and in how many it was held out."""
    held_out = np.array([repetition.held_out for repetition in repetitions])
    right = np.array([repetition.arms[arm].faults for repetition in repetitions])
    return (held_out & right).sum(0), held_out.sum(0)


def _mean_share(right: NDArray[np.int64], asked: NDArray[np.int64]) -> dict[str, Any]:
    """As `_share`, of faults (N,) that were asked about several times; the interval is that of the different ones."""
    n, rate = int((asked > 0).sum()), float(right.sum() / max(asked.sum(), 1))
    counts = {"right": int(right.sum()), "of": int(asked.sum()), "different": n}
    return {**counts, "rate": rate if n else None, "rate_ci95": wilson(round(rate * n), n)}


def _contrast(repetitions: Sequence[Repetition], arm: str, z_seeds: NDArray[np.int64]) -> dict[str, Any]:
    """How much larger a share of the same faults their own arm corrects than another; clusters are z_seeds."""
    found = statistics.contrast(_counts(repetitions, FAULTS), _counts(repetitions, arm), z_seeds)
    assert found is not None  # faults of two z_seeds or more, one of which at least is held out
    return {"difference": found.effect, "difference_ci95": [found.low, found.high], "p": found.p}
