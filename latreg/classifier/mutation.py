"""Classifiers that are slightly wrong, made from a trained one: the mutants of mutation testing.

The operators are those of DeepMutation (Ma et al. 2018, arXiv 1805.05206) and DeepCrime (Humbatova et al. 2021) that
apply to a network that is already trained. An operator makes one mutant for each number; the same number, the same one.
"""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from latreg.classifier.finetuning import Finetuning, mixture
from latreg.classifier.networks import Classifier
from latreg.data.images import ImageSet

NOISE = 0.1  # share of the labels that are changed
PRUNED = 0.4  # share of the weights of a layer that become 0 ..
PRUNED_MORE = 0.05  # .. and how much larger it is for each further mutant
FUZZ = 0.1  # standard deviation of the noise on a layer's weights, of that of the weights

Operator = Callable[[Finetuning, ImageSet, int], Classifier]  # the classifier, what it is trained on, and a number


def retrained(finetuning: Finetuning, data: ImageSet, number: int) -> Classifier:
    """No mutant: trained on with nothing changed. It shows what any training changes."""
    return finetuning(data, number)


def dropped_class(finetuning: Finetuning, data: ImageSet, number: int) -> Classifier:
    """Trained on without the images of one class, the one that has the number."""
    others = data.labels != number % finetuning.network.num_classes
    return finetuning(ImageSet(data.images[others], data.labels[others]), number)


def label_noise(finetuning: Finetuning, data: ImageSet, number: int) -> Classifier:
    """Trained on with NOISE of the labels changed, to any other class."""
    rng, classes = np.random.default_rng([number, 3]), finetuning.network.num_classes
    shift = rng.integers(1, classes, len(data)) * (rng.random(len(data)) < NOISE)
    return finetuning(ImageSet(data.images, (data.labels + torch.from_numpy(shift)) % classes), number)


def pruned(finetuning: Finetuning, data: ImageSet, number: int) -> Classifier:
    """The smallest weights of each layer are 0; the share grows with the number. It is not trained."""
    network = copy.deepcopy(finetuning.network)
    for weight in _weights(network):
        size = weight.abs()
        weight[size <= size.flatten().quantile(min(PRUNED + PRUNED_MORE * number, 1))] = 0
    return network


def fuzzed(finetuning: Finetuning, data: ImageSet, number: int) -> Classifier:
    """Gaussian noise is added to the weights of each layer. It is not trained."""
    network, rng = copy.deepcopy(finetuning.network), np.random.default_rng([number, 4])
    for weight in _weights(network):
        noise = torch.from_numpy(rng.standard_normal(tuple(weight.shape), dtype=np.float32))
        weight.add_(FUZZ * weight.std() * noise)
    return network


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


def mutants(finetuning: Finetuning, train: ImageSet, images: int, each: int) -> Iterator[tuple[str, int, Classifier]]:
    """So many of each operator: its name, the number, and the network.

    Args:
        train: real images and labels.
        images: that each training is shown, of a dropped class without these.
        each: how many of an operator.
    """
    nothing = train.slice(0, 0)
    for name, operator in OPERATORS.items():
        for number in range(each):
            yield name, number, operator(finetuning, mixture(train, nothing, images, 0, number), number)
