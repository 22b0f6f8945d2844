"""The test images on which a classifier is checked before it is searched, or shown saved faults."""

import torch
from torch import Tensor

from latreg.classifier.adapters import AdaptedSUT
from latreg.classifier.adapters.sanity import check_answers, check_sanity
from latreg.classifier.sut import TorchSUT, check_accuracy
from latreg.config import CallableClassifierConfig, Config, DatasetConfig, OwnClassifierConfig
from latreg.data.images import ImageSet, load_probe, to_unit
from latreg.data.splits import load_split
from latreg.interfaces import SUT
from latreg.zoo.weights import probe_path

NOISE_IMAGES = 16


def check_sut(cfg: Config, sut: SUT) -> None:
    """Refuse a classifier that is worse than its card says, or one made elsewhere that is not understood.

    One that is shipped, and is what was shipped, need not show it again.

    Without test images one made elsewhere is shown noise: it needs no labels to tell whether answers are random, depend
    on what is asked beside an image, or are no logits.

    Raises:
        LatregError: with the likely cause.
    """
    count = cfg.classifier.probe_images
    if count == 0:
        if isinstance(sut, AdaptedSUT):
            check_answers(sut, _noise(cfg.dataset))
        return
    if isinstance(sut, AdaptedSUT) and isinstance(cfg.classifier, OwnClassifierConfig):
        images = probe_images(cfg).slice(0, count)
        try_others = not isinstance(cfg.classifier, CallableClassifierConfig)
        check_sanity(sut, images, cfg.dataset.class_names, cfg.classifier.min_accuracy, try_others)
    elif isinstance(sut, TorchSUT) and not _is_known(cfg, sut):
        check_accuracy(sut, probe_images(cfg), sut.card, count)


def _is_known(cfg: Config, sut: TorchSUT) -> bool:
    """Whether its card holds: a shipped network, to the bit, on the data set that it was measured on."""
    shipped = str(cfg.classifier.weights).startswith("zoo:") and cfg.dataset.path is None
    return shipped and (sut.card.get("sha256"), sut.card.get("dataset")) == (sut.id, cfg.dataset.name)


def _noise(dataset: DatasetConfig) -> Tensor:
    """Always the same images (N, C, H, W) in [0, 1], from dark to bright, so that means tell batches apart."""
    shape = (NOISE_IMAGES, dataset.channels, dataset.resolution, dataset.resolution)
    levels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    brightness = torch.linspace(0.1, 1, NOISE_IMAGES)[:, None, None, None]
    return to_unit((levels * brightness).to(torch.uint8))


def probe_images(cfg: Config) -> ImageSet:
    """The test images that are shipped for this purpose, or the first ones of the data set itself."""
    shipped = shipped_images(cfg)
    return load_split(cfg.dataset, "test") if shipped is None else shipped


def shipped_images(cfg: Config) -> ImageSet | None:
    """The test images that are shipped; None where there are none, or where the data set is the user's own."""
    shipped = probe_path(cfg.dataset.name)
    if not shipped.is_file() or cfg.dataset.path is not None:
        return None
    return load_probe(shipped, cfg.dataset.resolution)
