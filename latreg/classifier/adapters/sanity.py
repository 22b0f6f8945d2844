"""Whether a classifier made elsewhere is understood: its accuracy on real images, and if that is poor, why."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latreg.classifier.adapters.adapted import AdaptedSUT, like_scores, look_like_probabilities
from latreg.classifier.adapters.inputs import FITS, Inputs, statistics
from latreg.classifier.sut import predictions
from latreg.data.images import ImageSet, to_unit
from latreg.errors import LatregError
from latreg.measures.metrics import wilson

log = logging.getLogger(__name__)

TRIAL_IMAGES = 200  # on which each possible cause is tried
RANGE_MARGIN = 0.02  # accuracy that another range must gain over other normalizations: few networks depend on it alone
BETTER = 3.0  # standard errors by which other inputs must do better on the same images to be worth a warning
AGAIN = 0.0001  # by which answers to the same images may differ, relative to the largest one: last bits
ALONE = 0.01  # .. where other images are asked about beside them: float16 has fewer bits
FEW = 7  # images of a small batch
UNSURE = 0.4  # by which the accuracy may be above the mean confidence
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and std of what most published weights were trained on


@dataclass(frozen=True)
class Reading:
    """How well a classifier does if its inputs are prepared in one way.

    Attributes:
        inputs: that way.
        right: which images are classified as labelled, (N,) bool.
        order: the class that each output stands for if every one is renamed to what it is said of most often; None
            where that is no permutation, or the order that is set.
        reordered: the accuracy then.
    """

    inputs: Inputs
    right: Tensor
    order: tuple[int, ...] | None
    reordered: float

    @property
    def accuracy(self) -> float:
        return float(self.right.double().mean())

    @property
    def best(self) -> float:
        return max(self.accuracy, self.reordered)


def check_sanity(
    sut: AdaptedSUT, data: ImageSet, class_names: Sequence[str], min_accuracy: float | None, try_others: bool = True
) -> float:
    """Measure the accuracy, and refuse a classifier that cannot be meant to be used like this.

    What is refused is tried with other ranges, normalizations, orders of the classes and sizes; what helps is named.
    Many networks do almost as well with a wrong normalization: there a warning says that another one does better.

    Args:
        sut: the classifier.
        data: labelled test images.
        class_names: of the data set.
        min_accuracy: below it a classifier is refused; None = halfway between chance and 1.
        try_others: also where it is not refused. It takes some thousand images, which a service may charge for.

    Returns:
        The accuracy.

    Raises:
        LatregError: it is below min_accuracy, its outputs are not what they are said to be, are random or depend on
            each other, or its classes are in another order, which costs as many images as one class or more.
    """
    wanted = (1 + 1 / len(class_names)) / 2 if min_accuracy is None else min_accuracy
    answers = check_answers(sut, to_unit(data.spread(TRIAL_IMAGES).images))
    found = _read(sut, sut.inputs, data)
    low, high = wilson(round(found.accuracy * len(data)), len(data)) or (0.0, 1.0)
    log.info(
        "the classifier is right on %.1f %% of %d test images (95 %%: %.1f to %.1f)",
        *(100 * found.accuracy, len(data), 100 * low, 100 * high),
    )
    permuted = found.reordered >= max(wanted, found.accuracy + 1 / len(class_names))
    if found.accuracy >= wanted and not permuted:
        _check_confidence(sut, answers, found.accuracy)
        if try_others:
            _warn_of_better_inputs(sut, data, found)
        return found.accuracy
    raise LatregError(
        f"the classifier is right on {found.accuracy:.4f} of {len(data)} test images of the classes "
        f"{', '.join(class_names)}, and at least {wanted:.4f} was expected (classifier.min_accuracy): "
        + _likely_cause(sut, data.spread(TRIAL_IMAGES), found, wanted)
    )


def check_answers(sut: AdaptedSUT, images: Tensor) -> Tensor:
    """Ask for the same images again, and for a few of them alone; returns what was answered, (N, K).

    Raises:
        LatregError: the answers differ, or are not what `outputs` says.
    """
    answers = sut.raw(images)
    _check_outputs(sut, answers)
    scale = float(answers.abs().max())
    if (change := _change(sut.raw(images), answers)) > AGAIN * scale:
        raise LatregError(
            f"the classifier must answer the same images alike, but asked twice its answers differ by up to "
            f"{change:.3g} (the largest is {scale:.3g}): is it random, as dropout is, or does it go on learning?"
        )
    first = len(images) // 2
    for few in (slice(first, first + FEW), slice(first, first + 1)):
        if (change := _change(sut.raw(images[few]), answers[few])) > ALONE * scale:
            raise LatregError(
                f"the classifier must answer an image alike whatever is asked beside it, but among {len(images)} and "
                f"among {len(images[few])} images its answers differ by up to {change:.3g} (the largest is "
                f"{scale:.3g}): does it normalize over the batch? classifier.batch_size=1 asks for one image at a time"
            )
    return answers


def _change(answers: Tensor, others: Tensor) -> float:
    return float((answers - others).abs().max()) if len(answers) else 0.0


def _check_outputs(sut: AdaptedSUT, answers: Tensor) -> None:
    """Softmax of what is no logits keeps the answers, so no accuracy shows it, but not their confidence."""
    if sut.outputs != "logits":
        return
    given = "classifier.outputs=logits was expected to give logits, but"
    if look_like_probabilities(answers):
        raise LatregError(
            f"{given} every answer is in [0, 1] and sums to 1, as probabilities do: classifier.outputs=probabilities "
            "is right then"
        )
    of_one = answers.shape[1] == 2 and not answers[:, 0].any()  # the first of two classes has no number of its own
    low, high = float(answers[:, 1].min()), float(answers[:, 1].max())
    if of_one and 0 <= low < high <= 1:
        raise LatregError(
            f"{given} the one number for each image is in [0, 1], as the probability of the second class is: "
            "classifier.outputs=probabilities is right then"
        )
    if not of_one and (scores := like_scores(answers)):
        raise LatregError(f"{given} the answers {scores}")


def _check_confidence(sut: AdaptedSUT, answers: Tensor, accuracy: float) -> None:
    """Cosines, or a regression to 0 and 1, look like logits, but their softmax is sure of nothing."""
    confidence = float(answers.softmax(1).amax(1).mean())
    if sut.outputs == "logits" and accuracy - confidence > UNSURE:
        raise LatregError(
            f"classifier.outputs=logits was expected to give logits, but the classifier is right on {accuracy:.4f} of "
            f"the images with a mean confidence of {confidence:.4f}, as its answers are {answers.min():.3g} .. "
            f"{answers.max():.3g}: are these cosines, or outputs of a regression? Let it multiply them by their scale, "
            "or return probabilities"
        )


def _warn_of_better_inputs(sut: AdaptedSUT, data: ImageSet, found: Reading) -> None:
    trials = list(_other_readings(sut, data.spread(TRIAL_IMAGES)))
    if not trials:
        return
    other = _read(sut, max(trials, key=lambda trial: trial.accuracy).inputs, data)
    gained, lost = int((other.right & ~found.right).sum()), int((found.right & ~other.right).sum())
    if gained - lost > BETTER * (gained + lost) ** 0.5:  # McNemar's test
        log.warning(
            "maybe %s: with %s it is right on %.1f %% of them",
            *(_cause(other.inputs, sut.inputs), other.inputs.settings(sut.inputs), 100 * other.accuracy),
        )


def _read(sut: AdaptedSUT, inputs: Inputs, data: ImageSet) -> Reading:
    predicted = predictions(sut.with_inputs(inputs), data.images)
    right = predicted == data.labels
    classes = range(sut.num_classes)
    meant = [_most_frequent(data.labels[predicted == k], sut.num_classes) for k in classes]
    if sorted(meant) != list(classes) or meant == list(classes):
        return Reading(inputs, right, None, 0.0)
    reordered = float((torch.tensor(meant)[predicted] == data.labels).float().mean())
    return Reading(inputs, right, tuple(meant[k] for k in sut.order), reordered)


def _most_frequent(labels: Tensor, num_classes: int) -> int:
    """-1 where there are none."""
    return int(torch.bincount(labels, minlength=num_classes).argmax()) if len(labels) else -1


def _likely_cause(sut: AdaptedSUT, data: ImageSet, found: Reading, wanted: float) -> str:
    readings = [found, *_other_readings(sut, data)] if found.reordered < wanted else [found]
    best = max(readings, key=lambda reading: reading.best)
    if best.best < wanted:
        return (
            f"{len(readings) - 1} other ranges, normalizations and sizes were tried, each with every order of the "
            f"classes, and none reached more than {best.best:.4f}; are these its weights, and this the data it knows?"
        )
    able = [reading for reading in readings if reading.best >= wanted]
    best = max(able, key=lambda reading: reading.best - RANGE_MARGIN * (reading.inputs.white != sut.inputs.white))
    causes = [_cause(best.inputs, sut.inputs)] if best.inputs != sut.inputs else []
    settings = [best.inputs.settings(sut.inputs)] if causes else []
    if best.order is not None and best.reordered >= best.accuracy:
        causes.append("its classes are in another order")
        settings.append(f"classifier.class_order=[{','.join(map(str, best.order))}]")
    cure = f"with {' '.join(settings)} it is right on {best.best:.4f} of {len(best.right)}"
    return f"probably {' and '.join(causes)}; {cure}"


def _cause(right: Inputs, now: Inputs) -> str:
    if right.fit != now.fit:
        return f"its images must be {'cut' if right.fit == 'crop' else 'scaled'} to its size"
    if right.channel_order != now.channel_order:
        return f"it takes the channels as {right.channel_order}, and was fed {now.channel_order}"
    if right.white != now.white:
        return f"it takes pixels of 0..{right.white:g}, and was fed 0..{now.white:g}"
    if right.std[0] < 0:
        return "it was trained on the negative of these images"
    return "its normalization is another one"


def _other_readings(sut: AdaptedSUT, data: ImageSet) -> Iterator[Reading]:
    for inputs in other_inputs(sut.inputs, data.images):
        with suppress(LatregError):  # what cannot even be asked is not the cause
            yield _read(sut, inputs, data)


def other_inputs(now: Inputs, images: Tensor) -> list[Inputs]:
    """What else a classifier may have been trained on, each once, the more frequent mistakes first.

    Args:
        now: what it is fed.
        images: real ones (N, C, H, W) uint8, for their mean and standard deviation.
    """
    fits = [replace(now, fit=fit) for fit in FITS] if now.size < images.shape[-1] else []
    flipped = replace(now, channel_order="bgr" if now.channel_order == "rgb" else "rgb")
    if not now.dtype.is_floating_point:
        return [inputs for inputs in [*fits, *([flipped] if now.channels == 3 else [])] if inputs != now]
    plain = replace(now, white=1.0, mean=(0.0,) * now.channels, std=(1.0,) * now.channels, preprocessor=None)
    mean, std = statistics(replace(plain, layout="nchw", dtype=torch.float32)(to_unit(images)))
    half = (0.5,) * now.channels
    others = [
        replace(now, white=255.0 if now.white == 1 else 1.0),
        plain,
        replace(plain, white=255.0),
        replace(plain, mean=half, std=half),
        replace(plain, mean=mean, std=std),
        replace(plain, mean=(1.0,) * now.channels, std=(-1.0,) * now.channels),  # 1 - x
    ]
    if now.channels == 3:
        others += [flipped, replace(plain, mean=IMAGENET[0], std=IMAGENET[1])]
        others += [replace(other, channel_order="bgr") for other in (plain, others[-1])]
    others += fits
    return [inputs for number, inputs in enumerate(others) if inputs != now and inputs not in others[:number]]
