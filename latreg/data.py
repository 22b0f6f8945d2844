"""Real images: decoded once to uint8, split the same way everywhere."""

import hashlib
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from latreg.config import DatasetConfig
from latreg.errors import LatregError
from latreg.images import ImageSet, pad_to
from latreg.pictures import decode, find_pictures

MIN_RESOLUTION = 32
MAX_VALIDATION = 5000
CACHE_VERSION = 2  # of the layout of cached files


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
        raise LatregError(f"LATREG_DATA is set to {root}, so the data set was expected in {path}, which is no folder")
    return str(path)


def load_images(source: str, split: str, channels: int) -> ImageSet:
    """Read one split ("train" or "test") of a hub data set or a local folder, through the uint8 cache.

    Gray images get three equal channels where three are asked for.

    Raises:
        LatregError: the source cannot be read, holds no images and labels, or colours where one channel is asked for.
    """
    decoded = _load(source, split)
    found = decoded.data.images.shape[1]
    if channels not in (found, 3):
        raise LatregError(f"dataset.channels must be 3 for the colour images of {source!r}, got {channels}")
    return ImageSet(decoded.data.images.expand(-1, channels, -1, -1).contiguous(), decoded.data.labels)


def load_split(dataset: DatasetConfig, name: str) -> ImageSet:
    """The "train", "validation" or "test" split, whole and in file order, padded with black to `dataset.resolution`.

    The validation split is the last `dataset.validation_size` training images.
    """
    if name not in ("train", "validation", "test"):
        raise ValueError(f"split must be train, validation or test, got {name!r}")
    data = load_images(resolve_source(dataset), "test" if name == "test" else "train", dataset.channels)
    if name != "test":
        border = len(data) - dataset.validation_size
        data = data.slice(0, border) if name == "train" else data.slice(border, len(data))
    return ImageSet(pad_to(data.images, dataset.resolution), data.labels)


def complete(dataset: DictConfig) -> None:
    """Give the settings of a data set that are missing the values that its images have.

    Raises:
        LatregError: the data cannot be read or serve no search: one class alone, gray and colour mixed, or training and
            test images that differ in size.
    """
    missing = [str(key) for key in dataset if OmegaConf.is_missing(dataset, key)]
    if not missing:
        return
    source = resolve_source(dataset)
    train, test = _load(source, "train"), _load(source, "test")
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


@dataclass(frozen=True)
class _Decoded:
    data: ImageSet
    class_names: list[str]
    mixed: str  # gray and colour, with an example of each


def _load(source: str, split: str) -> _Decoded:
    """One split as it is, through the cache."""
    cache = _cache_folder() / f"{_cache_key(source, split)}.npz"
    if not cache.is_file():
        pictures = find_pictures(source, split)
        images, mixed = decode(pictures, source)
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache.parent, suffix=".npz", delete=False) as file:
            np.savez(file, images=images, labels=pictures.labels, class_names=pictures.class_names, mixed=mixed)
        os.replace(file.name, cache)
    with np.load(cache) as arrays:
        data = ImageSet(torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"]))
        return _Decoded(data, arrays["class_names"].tolist(), str(arrays["mixed"]))


def _cache_folder() -> Path:
    return Path(os.environ.get("LATREG_CACHE", Path.home() / ".cache" / "latreg"))


def _cache_key(source: str, split: str) -> str:
    """A digest that changes when a local folder's files do, or what is cached."""
    parts = [str(CACHE_VERSION), source, split]
    if Path(source).is_dir():
        files = sorted(p for p in Path(source).resolve().rglob("*") if p.is_file())
        parts += [f"{p}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
