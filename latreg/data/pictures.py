"""Labelled pictures as people keep them, with the names of their classes: folders, or a Hugging Face data set.

What comes out is in the order in which splits are cut: as the files are, or where those are sorted by class, dealt out
so that every part of them holds each class in its share.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latreg.data.raster import opened
from latreg.errors import LatregError

TEST_NAMES = ("test", "validation", "valid", "val")  # of the split that serves as test images, in this order
TEST_SHARE = 0.2  # of a data set without such a split: its last images
PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
TABLE_SUFFIXES = {".parquet", ".arrow", ".csv", ".json", ".jsonl", ".tar", ".zip"}  # what `datasets` reads
LABEL_COLUMNS = (
    "label",
    "labels",
    "fine_label",
    "target",
    "class",
    "category",
)  # in this order, where there are several
GRAY, COLOUR = {"1", "L", "LA"}, {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class Pictures:
    """Not decoded yet: for each picture what to call it in an error, and its file or bytes."""

    cells: Sequence[tuple[str, Path | bytes]]
    labels: np.ndarray  # (N,) int64
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> "Pictures":
        return Pictures([self.cells[i] for i in index], self.labels[index], self.class_names)


def find_pictures(source: str, split: str) -> Pictures:
    """The "train" or "test" pictures of a folder, or of a data set that `datasets.load_dataset` knows by this name.

    Raises:
        LatregError: there is no such folder or data set, or it holds no pictures with classes.
    """
    splits = _from_folders(Path(source)) if _is_class_folders(source) else _from_datasets(source)
    others = [name for name in TEST_NAMES if name in splits]
    if split == "test" and others:
        return _dealt_out(splits[others[0]])
    train = _dealt_out(splits["train"])
    border = len(train) if others else len(train) - round(TEST_SHARE * len(train))
    return train.take(np.arange(border) if split == "train" else np.arange(border, len(train)))


def decode(pictures: Pictures, source: str) -> tuple[np.ndarray, str]:
    """Pictures => uint8 (N, C, H, W), gray if all are, else colour; and where they are mixed, an example of each.

    Raises:
        LatregError: there are none, one cannot be read or is not square, or they differ in size.
    """
    modes: dict[str, str] = {}
    sizes: dict[tuple[int, int], str] = {}
    images: list[Image.Image] = []
    for name, cell in pictures.cells:
        images.append(image := _open(name, cell))
        modes.setdefault("gray" if image.mode == "L" else "colour", name)
        sizes.setdefault(image.size, name)
        if len(sizes) > 1:
            (one, first), (other, second) = sizes.items()
            raise LatregError(
                f"images must have one size, got {one[0]}x{one[1]} in {first}, {other[0]}x{other[1]} in {second}"
            )
    if not images:
        raise LatregError(f"expected images at {source!r}, got none")
    colour = "colour" in modes
    arrays = np.stack([np.asarray(image.convert("RGB") if colour else image) for image in images])
    arrays = arrays.transpose(0, 3, 1, 2) if colour else arrays[:, None]
    mixed = f"{modes['gray']} is gray, {modes['colour']} is not" if len(modes) > 1 else ""
    return np.ascontiguousarray(arrays), mixed


def _open(name: str, cell: Path | bytes) -> Image.Image:
    """A picture in mode L or RGB."""
    with opened(cell, name) as image:
        if image.width != image.height:
            raise LatregError(f"images must be square, got {image.width}x{image.height} in {name}")
        if image.mode not in GRAY | COLOUR:
            raise LatregError(f"images must have 8 bits per channel, got the mode {image.mode} in {name}")
        return image.convert("L" if image.mode in GRAY else "RGB")


def _dealt_out(pictures: Pictures) -> Pictures:
    """The same, but where each class stands together, with the pictures of each class at equal distances."""
    labels = pictures.labels
    classes, runs = np.unique(labels), 1 + np.count_nonzero(np.diff(labels))
    if runs > len(classes):
        return pictures
    places = np.empty(len(labels))
    for label in classes:
        members = np.flatnonzero(labels == label)
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
    return pictures.take(np.argsort(places, kind="stable"))


# ---- folders


def _is_class_folders(source: str) -> bool:
    """Whether it is a folder without tables but those that describe its pictures, so that folders stand for classes."""
    root = Path(source)
    if not root.is_dir():
        if not HUB_NAME.fullmatch(source):
            raise LatregError(f"dataset.path must be an existing folder or owner/name on the hub, got {source}")
        return False
    tables = [path for path in root.rglob("*") if path.suffix in TABLE_SUFFIXES]
    described = bool(_folders(root)) and all(path.stem == "metadata" for path in tables)  # as latreg.export writes them
    return not tables or described


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _from_folders(root: Path) -> dict[str, Pictures]:
    """Splits by name, each a folder with one folder per class; one level of folders is all "train"."""
    folders = _folders(root)
    if not folders:
        raise LatregError(f"expected one folder of images per class in {root}, got no folders")
    splits = {path.name: path for path in folders}
    if "train" not in splits or not set(splits) <= {"train", *TEST_NAMES}:
        splits = {"train": root}
    class_names = [path.name for path in _folders(splits["train"])]
    return {name: _class_folders(path, class_names) for name, path in splits.items()}


def _class_folders(root: Path, class_names: list[str]) -> Pictures:
    cells: list[tuple[str, Path | bytes]] = []
    labels = []
    for folder in _folders(root):
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
        if folder.name not in class_names:
            raise LatregError(f"each class must have training images, got none for {folder}")
        if not files:
            raise LatregError(f"each class must have images, got none in {folder}")
        cells += [(str(path), path) for path in files]
        labels += [class_names.index(folder.name)] * len(files)
    return Pictures(cells, np.array(labels, dtype=np.int64), class_names)


# ---- Hugging Face


def _from_datasets(source: str) -> dict[str, Pictures]:
    import datasets  # slow to import, and not needed once the cache is there

    try:
        loaded = datasets.load_dataset(source)
    except Exception as error:  # the library raises a dozen types for "not there"
        raise LatregError(
            f"expected a folder or hub data set with a 'train' split at {source!r}: {error} "
            "(LATREG_DATA may name a local folder of data sets)"
        ) from error
    names = [name for name in loaded if name in ("train", *TEST_NAMES)]
    if "train" not in names:
        raise LatregError(f"expected a 'train' split at {source!r}, got {', '.join(names) or 'none'}")
    class_names = _class_names(loaded["train"], source)
    return {name: _table(loaded[name], class_names, source, name) for name in names}


def _table(table: Any, class_names: list[str], source: str, split: str) -> Pictures:
    """One split, with labels that count in `class_names`, those of the training images."""
    import datasets

    image_column, label_column = _columns(table.features, source)
    undecoded = table.cast_column(image_column, datasets.Image(decode=False))
    cells = [
        (f"row {row} of {split!r} at {source!r}", cell["bytes"] or Path(cell["path"]))
        for row, cell in enumerate(_present(undecoded[image_column], image_column, source))
    ]
    values = _present(table[label_column], label_column, source)
    numbers = {name if isinstance(values[0], str) else number: number for number, name in enumerate(class_names)}
    if foreign := sorted(set(values) - numbers.keys()):
        raise LatregError(
            f"each image at {source!r} must have one of the {len(class_names)} classes of its 'train' split, "
            f"got {foreign[0]!r} in its {split!r} split"
        )
    return Pictures(cells, np.array([numbers[value] for value in values], dtype=np.int64), class_names)


def _class_names(train: Any, source: str) -> list[str]:
    """The classes of the training images, in the order of their numbers."""
    import datasets

    _, column = _columns(train.features, source)
    feature = train.features[column]
    if isinstance(feature, datasets.ClassLabel):
        return list(feature.names)
    return _names_of(_present(train[column], column, source), column, source)


def _columns(features: Any, source: str) -> tuple[str, str]:
    """The columns of the images and of their classes."""
    import datasets

    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    classes = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    classes = classes or [name for name in LABEL_COLUMNS if getattr(features.get(name), "dtype", None) in _PLAIN]
    classes.sort(key=lambda name: LABEL_COLUMNS.index(name) if name in LABEL_COLUMNS else len(LABEL_COLUMNS))
    if not images or not classes:
        raise LatregError(f"expected an image and a class label column at {source!r}, got {', '.join(features)}")
    return images[0], classes[0]


_PLAIN = ("int64", "int32", "int16", "int8", "uint8", "string")


def _names_of(values: Sequence[Any], column: str, source: str) -> list[str]:
    """Class names of a column of words, or of numbers 0 .. K - 1."""
    if isinstance(values[0], str):
        return sorted(set(values))
    if sorted(set(values)) != list(range(max(values) + 1)):
        raise LatregError(f"the column {column!r} at {source!r} must hold numbers from 0 on without a gap")
    return [str(number) for number in range(max(values) + 1)]


def _present(column: Iterable[Any], name: str, source: str) -> list[Any]:
    values = list(column)
    if not values or any(value is None for value in values):
        raise LatregError(f"each row at {source!r} must have a value in the column {name!r}, but some or all have none")
    return values
