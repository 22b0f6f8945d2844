"""Classifiers that are slightly wrong, made from a trained one: the mutants of mutation testing.

The operators are those of DeepMutation (Ma et al. 2018, arXiv 1805.05206) and DeepCrime (Humbatova et al. 2021) that
apply to a network that is already trained. An operator makes one mutant for each number; the same number, the same one.
Those that change weights are as strong as costs LOSS of the accuracy on real images, for networks differ in what they
bear.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from latreg.classifier.finetuning import Finetuning, mixture
from latreg.classifier.networks import Classifier
from latreg.data.images import ImageSet, to_unit

NOISE = 0.1  # share of the labels that are changed
LOSS = 0.01  # of the accuracy, by changed weights
HALVINGS = 7  # of the interval 0 to 1 in which their strength lies
CHECKED = 1000  # validation images on which it is found


@dataclass(frozen=True, eq=False)
class Original:
    """What mutants are made from.

    Attributes:
        finetuning: the classifier, at the learning rate of its recipe.
        validation: real images on which its accuracy is looked at.
    """

    finetuning: Finetuning
    validation: ImageSet

    @cached_property
    def accuracy(self) -> float:
        """On the validation images."""
        return self.accuracy_of(self.finetuning.network)

    @torch.inference_mode()
    def accuracy_of(self, network: Classifier) -> float:
        """Likewise, of a network that is not asked often enough to be compiled."""
        batches = torch.split(self.validation.images, 250)
        answers = torch.cat([network.eval()(to_unit(batch)).argmax(dim=1) for batch in batches])
        return float((answers == self.validation.labels).float().mean())


Operator = Callable[[Original, ImageSet, int], Classifier]  # the original, what it is trained on, and a number


def retrained(original: Original, data: ImageSet, number: int) -> Classifier:
    """No mutant: trained on with nothing changed. It shows what any training changes."""
    return original.finetuning(data, number)


def dropped_class(original: Original, data: ImageSet, number: int) -> Classifier:
    """Trained on without the images of one class, the one that has the number."""
    others = data.labels != number % original.finetuning.network.num_classes
    return original.finetuning(ImageSet(data.images[others], data.labels[others]), number)


def label_noise(original: Original, data: ImageSet, number: int) -> Classifier:
    """Trained on with NOISE of the labels changed, to any other class."""
    rng, classes = np.random.default_rng([number, 3]), original.finetuning.network.num_classes
    shift = rng.integers(1, classes, len(data)) * (rng.random(len(data)) < NOISE)
    return original.finetuning(ImageSet(data.images, (data.labels + torch.from_numpy(shift)) % classes), number)


def pruned(original: Original, data: ImageSet, number: int) -> Classifier:
    """The smallest weights of each layer are 0, among half of them, which the number draws."""

    def change(network: Classifier, strength: float) -> None:
        rng = np.random.default_rng([number, 4])
        for weight in _weights(network):
            drawn = torch.from_numpy(rng.random(tuple(weight.shape)) < 0.5)
            weight[drawn & (weight.abs() <= weight.abs().flatten().quantile(strength))] = 0

    return _as_strong_as_allowed(original, change)


def fuzzed(original: Original, data: ImageSet, number: int) -> Classifier:
    """Gaussian noise is added to the weights of each layer; its strength is relative to their standard deviation."""

    def change(network: Classifier, strength: float) -> None:
        rng = np.random.default_rng([number, 5])
        for weight in _weights(network):
            noise = torch.from_numpy(rng.standard_normal(tuple(weight.shape), dtype=np.float32))
            weight.add_(strength * weight.std() * noise)

    return _as_strong_as_allowed(original, change)


def _as_strong_as_allowed(original: Original, change: Callable[[Classifier, float], None]) -> Classifier:
    """A copy with its weights changed at the largest strength, 0 to 1, that costs at most LOSS, by bisection."""
    best, strength = copy.deepcopy(original.finetuning.network), 0.0
    for halving in range(1, HALVINGS + 1):
        network = copy.deepcopy(original.finetuning.network)
        change(network, strength + 2**-halving)
        if original.accuracy_of(network) >= original.accuracy - LOSS:
            best, strength = network, strength + 2**-halving
    return best


def _weights(network: Classifier) -> Iterator[Tensor]:
    """Those of the convolutions and linear layers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield module.weight.detach()


OPERATORS: dict[str, Operator] = {
    "retrained": retrained,
    "dropped_class": dropped_class,
    "label_noise": label_noise,
    "pruned": pruned,
    "fuzzed": fuzzed,
}
CONTROL = "retrained"


def mutants(original: Original, train: ImageSet, images: int, each: int) -> Iterator[tuple[str, int, Classifier]]:
    """So many of each operator: its name, the number, and the network.

    Args:
        train: real images and labels.
        images: that each training is shown, of a dropped class without these.
        each: how many of an operator.
    """
    nothing = train.slice(0, 0)
    for name, operator in OPERATORS.items():
        for number in range(each):
            yield name, number, operator(original, mixture(train, nothing, images, 0, number), number)
