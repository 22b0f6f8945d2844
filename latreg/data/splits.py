"""Real images: decoded once to uint8, split the same way everywhere."""

import hashlib
import io
import logging
import math
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from latreg.config import DatasetConfig
from latreg.data.folders import AS_FOUND, Choice
from latreg.data.images import ImageSet, pad_to
from latreg.data.pictures import decode, find_pictures
from latreg.errors import LatregError, reason
from latreg.surroundings import cache_folder

log = logging.getLogger(__name__)

MIN_RESOLUTION = 32
FOUND_IN_IMAGES = {"channels", "resolution", "validation_size", "class_names"}
MAX_VALIDATION = 5000
CACHE_VERSION = 4  # of what is cached and how: raised where either changes


def resolve_source(dataset: DatasetConfig | DictConfig) -> str:
    """`dataset.path` where it is given, else the folder below $LATREG_DATA where that is set, else the hub name."""
    if dataset.path:
        return str(Path(dataset.path).expanduser())
    if dataset.hub is None or dataset.folder is None:
        raise LatregError("dataset.path must name a folder of images or a data set of the hub, got null")
    root = os.environ.get("LATREG_DATA")
    if not root:
        return dataset.hub
    path = Path(root) / dataset.folder
    if not path.is_dir():
        raise LatregError(f"LATREG_DATA is set to {root}, so the data set must be in {path}, which is not a folder")
    return str(path)


def choice_of(dataset: DatasetConfig | DictConfig) -> Choice:
    """Which subset and splits of the data set are wanted."""
    return Choice(dataset.subset, dataset.train_split, dataset.test_split)


def load_images(source: str, split: str, channels: int, choice: Choice = AS_FOUND) -> ImageSet:
    """Read one split ("train" or "test") of a hub data set or a local folder, through the uint8 cache.

    Gray images get three equal channels where three are asked for.

    Raises:
        LatregError: the source cannot be read, holds no images and labels, or colours where one channel is asked for.
    """
    decoded = _load(source, split, choice)
    found = decoded.data.images.shape[1]
    if channels not in (found, 3):
        raise LatregError(f"dataset.channels must be 3 for the colour images of {source!r}, got {channels}")
    return ImageSet(decoded.data.images.expand(-1, channels, -1, -1).contiguous(), decoded.data.labels)


def load_split(dataset: DatasetConfig, name: str) -> ImageSet:
    """The "train", "validation" or "test" split, whole and in file order, padded with black to `dataset.resolution`.

    The validation split is the last `dataset.validation_size` training images.

    Raises:
        LatregError: see `load_images`; `dataset.validation_size` leaves one of the splits empty, or the
            `dataset.class_names` of one's own data are not those of the images, or lack a class of them.
    """
    if name not in ("train", "validation", "test"):
        raise ValueError(f"split must be train, validation or test, got {name!r}")
    source, part = resolve_source(dataset), "test" if name == "test" else "train"
    data = load_images(source, part, dataset.channels, choice_of(dataset))
    if dataset.path:  # the names of the data sets that latreg knows may be spelt otherwise than in their files
        check_class_names(dataset.class_names, _load_class_names(source, part, choice_of(dataset)), source)
    if len(data) and (largest := int(data.labels.max())) >= len(dataset.class_names):
        raise LatregError(
            f"labels of {dataset.name} must be below its {len(dataset.class_names)} class_names, got {largest}"
        )
    if name != "test":
        if not 1 <= dataset.validation_size < len(data):
            raise LatregError(
                f"dataset.validation_size must be at least 1 and below the {len(data)} training images, "
                f"got {dataset.validation_size}"
            )
        border = len(data) - dataset.validation_size
        data = data.slice(0, border) if name == "train" else data.slice(border, len(data))
    return ImageSet(pad_to(data.images, dataset.resolution), data.labels)


def check_class_names(given: Sequence[str], found: Sequence[str], source: str) -> None:
    """Refuse names that cannot be those of the classes found in the data; classes may be called otherwise there.

    Raises:
        LatregError: their numbers differ, or a class has the name of another one.
    """
    if len(given) != len(found):
        raise LatregError(f"dataset.class_names must name the {len(found)} classes of {source!r}, got {len(given)}")
    for number, name in enumerate(given):
        if name in found and found[number] != name:
            raise LatregError(
                f"dataset.class_names must have the order of {source!r}, where {name!r} is class {found.index(name)}, "
                f"got it as class {number}"
            )


def complete(dataset: DictConfig) -> None:
    """Give the settings of a data set that are missing the values that its images have.

    Raises:
        LatregError: the data cannot be read or serve no search: one class alone, gray and colour mixed, or training and
            test images that differ in size; or the class names that are given are not those of the images; or a setting
            is missing that images do not tell.
    """
    missing = [str(key) for key in dataset if OmegaConf.is_missing(dataset, key)]
    if not missing:
        return
    if others := set(missing) - FOUND_IN_IMAGES:
        raise LatregError(f"dataset.{min(others)} must be given, but has no value")
    source = resolve_source(dataset)
    train, test = (_load(source, part, choice_of(dataset)) for part in ("train", "test"))
    count, channels, side, _ = train.data.images.shape
    test_channels, test_side = test.data.images.shape[1:3]
    if len(train.class_names) < 2:
        raise LatregError(f"expected images of two or more classes at {source!r}, got {', '.join(train.class_names)}")
    if test_side != side:
        raise LatregError(f"images must have one size, got {side}x{side} to train and {test_side}x{test_side} to test")
    mixed = train.mixed or test.mixed or ("train and test differ" if channels != test_channels else "")
    if mixed and "channels" in missing:
        raise LatregError(f"dataset.channels must be 3 where gray and colour are mixed: {mixed}")
    found = {
        "channels": channels,
        "resolution": max(MIN_RESOLUTION, 2 ** math.ceil(math.log2(side))),
        "validation_size": min(math.ceil(count / 10), MAX_VALIDATION),
        "class_names": train.class_names,
    }
    for key in missing:
        dataset[key] = found[key]
    check_class_names(dataset.class_names, train.class_names, source)


@dataclass(frozen=True)
class _Decoded:
    data: ImageSet
    class_names: list[str]
    mixed: str  # gray and colour, with an example of each


def _load(source: str, split: str, choice: Choice) -> _Decoded:
    """One split as it is, through the cache."""
    images, labels, class_names, mixed = _arrays(source, split, choice, ("images", "labels", "class_names", "mixed"))
    data = ImageSet(torch.from_numpy(images), torch.from_numpy(labels))
    return _Decoded(data, class_names.tolist(), str(mixed))


def _load_class_names(source: str, split: str, choice: Choice) -> list[str]:
    """Those of one split, without its images."""
    (class_names,) = _arrays(source, split, choice, ["class_names"])
    return [str(name) for name in class_names]


def _arrays(source: str, split: str, choice: Choice, names: Sequence[str]) -> list[np.ndarray]:
    """Arrays from the cache's file of one split, which is made where it is not there or damaged."""
    cache = cache_folder() / f"{_cache_key(source, split, choice)}.npz"
    if cache.is_file():
        try:
            return _read(cache, names)
        except Exception as error:  # a dozen types: of numpy, of zip files, of what is compressed in them
            log.warning("%s is damaged, so the images of %s are decoded again: %s", cache, source, reason(error))
    _make(cache, source, split, choice)
    return _read(cache, names)


def _read(cache: Path, names: Sequence[str]) -> list[np.ndarray]:
    with zipfile.ZipFile(cache) as archive:  # which checks the sum of all bytes, as np.load does not
        return [np.load(io.BytesIO(archive.read(f"{name}.npy"))) for name in names]


def _make(cache: Path, source: str, split: str, choice: Choice) -> None:
    pictures = find_pictures(source, split, choice)
    images, mixed = decode(pictures, source)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache.parent, suffix=".npz", delete=False) as file:
            np.savez(file, images=images, labels=pictures.labels, class_names=pictures.class_names, mixed=mixed)
        os.replace(file.name, cache)
    except OSError as error:
        raise LatregError(
            "LATREG_CACHE must name a folder that can be written, with free space, but of "
            f"{cache.parent} it is said: {error.strerror}"
        ) from error


def _cache_key(source: str, split: str, choice: Choice) -> str:
    """A digest that changes when a local folder's files do, or what is cached."""
    parts = [str(CACHE_VERSION), source, split, repr(choice)]
    if Path(source).is_dir():
        files = sorted(p for p in Path(source).resolve().rglob("*") if p.is_file())
        parts += [f"{p}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in files]
    return hashlib.sha256(os.fsencode("\n".join(parts))).hexdigest()[:24]
