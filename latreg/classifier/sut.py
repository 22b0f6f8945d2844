"""A trained classifier as the system under test, or as a member of the judge."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latreg.classifier.networks import Classifier, build
from latreg.classifier.optimized import optimized
from latreg.config import DatasetConfig
from latreg.data.images import ImageSet, to_unit
from latreg.errors import LatregError, NotFiniteError
from latreg.interfaces import SUT
from latreg.zoo import weights

KIND = "classifier"  # what the description in a weights file says it is


class TorchSUT:
    """A network that answers with probabilities, in eval mode and without gradients.

    Args:
        network: from `latreg.classifier.networks.build`. Its weights must not change any more.
        id: sha256 of its weights file.
        device: where it runs; images are moved there.
        card: its model card, {} if there is none.
    """

    def __init__(self, network: Classifier, id: str, device: torch.device, card: dict[str, Any]) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self._optimized = optimized(self.network)
        self.channels = network.channels
        self.num_classes = network.num_classes
        self.id = id
        self.device = device
        self.card = card

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => probabilities (N, K), on the network's device.

        Raises:
            LatregError: the images have other channels, are no floats, or leave [0, 1].
        """
        check_images(images, self.channels)
        logits: Tensor = self._optimized(images.to(self.device))
        return finite(logits).softmax(dim=1)


def finite(answers: Tensor, network: str = "the classifier") -> Tensor:
    """The answers (N, ..) of a network as they are.

    Raises:
        NotFiniteError: some are NaN or infinite.
    """
    if not answers.isfinite().all():
        raise NotFiniteError(network, int((~answers.isfinite()).nonzero()[0, 0]))
    return answers


def check_images(images: Tensor, channels: int) -> None:
    """Refuse what a classifier is not made for.

    Raises:
        LatregError: the images have other channels, are no floats, or leave [0, 1].
    """
    if images.ndim != 4 or images.shape[1] != channels or not images.is_floating_point():
        raise LatregError(
            f"the classifier takes float images (N, {channels}, H, W), "
            f"got {str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
        )
    if len(images) and not (images.min() >= 0 and images.max() <= 1):
        raise LatregError(
            f"the classifier takes images in [0, 1], got values from {images.min():.3g} to {images.max():.3g}"
        )


def load_sut(
    weights_name: str | None,
    dataset: DatasetConfig,
    device: str | torch.device = "cpu",
    key: str = "classifier.weights",
) -> TorchSUT:
    """A classifier from a weights file (a path or zoo:<name>), which describes its own network.

    Args:
        key: the setting that names the file, for the message where there is none.

    Raises:
        LatregError: there is no such file, it holds no classifier, or one for other classes or channels than the
            data set's.
    """
    path = weights.resolve(weights_name, key)
    network = load_network(path, dataset)
    return TorchSUT(network, weights.sha256(path), torch.device(device), weights.read_card(path))


def load_network(path: Path, dataset: DatasetConfig | None = None) -> Classifier:
    """The network of a weights file, which describes itself; of a data set, if given, for its classes and channels.

    Raises:
        LatregError: it holds no classifier, or one for other classes or channels.
    """
    state, description = weights.load(path, KIND)
    if dataset is not None:
        _check_description(description, dataset, path)
    made = {name: description[name] for name in ("network", "channels", "num_classes", "network_args")}
    return weights.built(lambda: build(**made, source=f"the description in {path}"), state, path)


def _check_description(description: dict[str, Any], dataset: DatasetConfig, path: Path) -> None:
    wanted = {"num_classes": len(dataset.class_names), "channels": dataset.channels}
    for name, value in wanted.items():
        if description[name] != value:
            raise LatregError(
                f"the data set {dataset.name} needs a classifier with {name}={value}, "
                f"but the one in {path} has {name}={description[name]}"
            )


def predictions(sut: SUT, images: Tensor, batch_size: int = 500) -> Tensor:
    """Images (N, C, H, W) uint8 => the classes that the classifier sees, (N,) int64 on the CPU."""
    return torch.cat([sut(to_unit(batch)).argmax(dim=1).cpu() for batch in torch.split(images, batch_size)])


def accuracy(sut: SUT, data: ImageSet, batch_size: int = 500) -> float:
    """Share of the images (N, C, H, W) uint8 that are classified as labelled."""
    return int((predictions(sut, data.images, batch_size) == data.labels).sum()) / len(data)


def check_accuracy(sut: SUT, data: ImageSet, card: dict[str, Any], probe_images: int) -> None:
    """Refuse a SUT that is worse than its card says: wrong value range, padding, classes or a damaged file.

    It may fall short of the card's `test_accuracy` by 4 standard errors of a binomial with `probe_images` trials.

    Args:
        sut: the classifier.
        data: labelled test images; the first `probe_images` of them are used, or all if there are fewer.
        card: its model card.
        probe_images: 0 = no check.

    Raises:
        LatregError: the accuracy is below the card's, or the card has none.
    """
    if probe_images == 0:
        return
    if "test_accuracy" not in card:
        raise LatregError(
            "the classifier's model card must have a test_accuracy to be checked, but there is none; "
            "classifier.probe_images=0 skips the check"
        )
    probe = data.slice(0, probe_images)
    claimed, found = float(card["test_accuracy"]), accuracy(sut, probe)
    tolerance = 4 * math.sqrt(claimed * (1 - claimed) / len(probe)) + 1 / len(probe)
    if found < claimed - tolerance:
        raise LatregError(
            f"the classifier's card says {claimed:.4f} of test images are classified right, so at least "
            f"{claimed - tolerance:.4f} was expected on {len(probe)} of them, but it was {found:.4f}"
        )
