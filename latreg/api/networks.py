"""The networks alone: a generator that draws images, a classifier that answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from latreg.api.models import Classifier, Inputs, choose, dataset_named, dataset_of
from latreg.api.session import undisturbed
from latreg.classifier.adapters import load_classifier as load_sut
from latreg.classifier.adapters.live import at_hand
from latreg.composing import composed
from latreg.compute.device import make_device
from latreg.config import typed
from latreg.data.images import to_unit
from latreg.errors import LatregError
from latreg.generator.pretrained import StyleGAN2, read_network
from latreg.interfaces import SUT, Proposal, Source
from latreg.jobs.assembly import suitable_chunk
from latreg.jobs.sut_check import check_sut
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer
from latreg.zoo import weights


class SamplingGenerator(StyleGAN2):
    """A generator that draws images as a search does, to the bit."""

    def sample(self, classes: ArrayLike, z_seeds: ArrayLike, psi: float = 1.0, center: str = "class") -> np.ndarray:
        """Images (N, C, H, W) uint8 of N classes with N seeds of their latents; a single one goes with all others.

            >>> generator.sample(classes=range(10), z_seeds=0, psi=0.7).shape
            (10, 3, 32, 32)

        Args:
            classes: numbers of classes.
            z_seeds: a latent is `numpy.random.RandomState(z_seed).randn(z_dim)`.
            psi: truncation, 1 = none.
            center: what truncation shrinks towards: the mean w of the class, or `global`, of all classes.

        Raises:
            LatregError: there is no such class or center, or the numbers of classes and seeds differ.
        """
        labels, seeds = np.atleast_1d(np.asarray(classes)), np.atleast_1d(np.asarray(z_seeds))
        if len(labels) != len(seeds) and 1 not in (len(labels), len(seeds)):
            raise LatregError(f"classes and z_seeds must be of one number, got {len(labels)} and {len(seeds)}")
        if outside := [label for label in labels.tolist() if not 0 <= label < self.num_classes]:
            raise LatregError(f"classes must be within 0 .. {self.num_classes - 1}, got {outside[0]}")
        pairs = np.broadcast(labels, seeds)
        with undisturbed():
            renderer = Renderer(self, center, None, suitable_chunk(self))
            requests = [Request(Source(int(label), int(seed)), Proposal(psi)) for label, seed in pairs]
            images: np.ndarray = renderer.render(requests).cpu().numpy()
        return images


def load_generator(name: str | Path, device: str = "auto") -> SamplingGenerator:
    """A generator to draw images with.

        >>> generator = latreg.load_generator("cifar10")
        >>> images = generator.sample(classes=[3, 5], z_seeds=[0, 1])

    Args:
        name: of a data set, for its own generator, `zoo:<name>`, or the path of a weights file.
        device: auto, cpu, cuda, cuda:1, ..

    Returns:
        What fulfils latreg.interfaces.Generator, and can `sample`.

    Raises:
        LatregError: there is no such generator.
    """
    with undisturbed():
        dataset = dataset_named(str(name))
        wanted = composed([f"dataset={dataset}"]).generator.weights if dataset else str(name)
        path = weights.resolve(wanted, "the generator")
        network, arguments = read_network(path)
        return SamplingGenerator(network.to(make_device(device)), weights.sha256(path), arguments["c_dim"] or 1)


class LoadedClassifier:
    """A classifier with the settings around it. Call it with images.

    Attributes:
        sut: what a search would ask, fulfils latreg.interfaces.SUT.
        class_names: of its answers.
        id: sha256 of its weights.
    """

    def __init__(self, sut: SUT, class_names: Sequence[str]) -> None:
        self.sut = sut
        self.class_names = list(class_names)
        self.id = sut.id

    def __call__(self, images: np.ndarray | Tensor) -> np.ndarray:
        """Images (N, C, H, W), uint8 or float in [0, 1] => probabilities (N, K) float32.

        >>> classify(run.faults().images).argmax(1)

        Raises:
            LatregError: the images are not of the data set's kind.
        """
        given = torch.as_tensor(images)
        with undisturbed(), torch.no_grad():
            answers: np.ndarray = self.sut(to_unit(given) if given.dtype == torch.uint8 else given).cpu().numpy()
        return answers


def load_classifier(
    model: Classifier,
    *,
    dataset: str | None = None,
    device: str = "auto",
    overrides: Sequence[str] = (),
    **inputs: Unpack[Inputs],
) -> LoadedClassifier:
    """A classifier as a search would ask it, after the same check on real test images.

        >>> classify = latreg.load_classifier("cifar10")
        >>> classify(generator.sample(classes=3, z_seeds=range(5))).argmax(1)

    Args:
        model: as in `latreg.search`, or the name of a data set, for its own classifier.
        dataset: whose classes it knows; None = that of a shipped model, else mnist.
        device: auto, cpu, cuda, cuda:1, ..
        overrides: other settings, as on the command line: ["classifier.probe_images=0"] skips the check.
        inputs: as in `latreg.search`.

    Raises:
        LatregError: it cannot be loaded, or does not know the test images; with the likely cause.
    """
    choice = choose(model, inputs)
    groups = [f"dataset={dataset or dataset_of(model)}", *choice.overrides, *overrides]
    with undisturbed(), at_hand(choice.live):
        cfg = typed(composed(groups, {**choice.settings, "device": device}))
        sut = load_sut(cfg.classifier, cfg.dataset, make_device(cfg.device))
        check_sut(cfg, sut)
    return LoadedClassifier(sut, cfg.dataset.class_names)
