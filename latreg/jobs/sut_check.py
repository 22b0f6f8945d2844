"""The test images on which a classifier is checked before it is searched, or shown saved faults."""

from latreg.classifier.adapters import AdaptedSUT
from latreg.classifier.adapters.sanity import check_sanity
from latreg.classifier.sut import TorchSUT, check_accuracy
from latreg.config import CallableClassifierConfig, Config, OwnClassifierConfig
from latreg.data.images import ImageSet, load_probe
from latreg.data.splits import load_split
from latreg.interfaces import SUT
from latreg.zoo.weights import probe_path


def check_sut(cfg: Config, sut: SUT) -> None:
    """Refuse a classifier that is worse than its card says, or one made elsewhere that is not understood.

    Raises:
        LatregError: with the likely cause.
    """
    count = cfg.classifier.probe_images
    if count == 0:
        return
    if isinstance(sut, AdaptedSUT) and isinstance(cfg.classifier, OwnClassifierConfig):
        images = probe_images(cfg).slice(0, count)
        try_others = not isinstance(cfg.classifier, CallableClassifierConfig)
        check_sanity(sut, images, cfg.dataset.class_names, cfg.classifier.min_accuracy, try_others)
    elif isinstance(sut, TorchSUT):
        check_accuracy(sut, probe_images(cfg), sut.card, count)


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
