"""Labelled pictures as people keep them, with the names of their classes: folders, or a Hugging Face data set.

What comes out is in the order in which splits are cut: as the files are, or where those are sorted by class, dealt out
so that every part of them holds each class in its share.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latreg.data.folders import AS_FOUND, Choice, are_class_folders, read_class_folders
from latreg.data.raster import opened
from latreg.errors import LatregError

log = logging.getLogger(__name__)

TEST_SHARE = 0.2  # of a data set without such a split: its last images
LABEL_COLUMNS = (
    "label",
    "labels",
    "fine_label",
    "target",
    "class",
    "category",
)  # in this order, where there are several
GRAY, COLOUR = {"1", "L", "LA"}, {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
UNLABELLED = -1  # in a column of numbers: the class is not told


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


def find_pictures(source: str, split: str, choice: Choice = AS_FOUND) -> Pictures:
    """The "train" or "test" pictures of a folder, or of a data set that `datasets.load_dataset` knows by this name.

    Raises:
        LatregError: there is no such folder or data set, or it holds no pictures with classes.
    """
    splits = _from_folders(Path(source), choice) if _is_class_folders(source, choice) else _from_hub(source, choice)
    if split == "test" and "test" in splits:
        return _dealt_out(splits["test"])
    train = _dealt_out(splits["train"])
    border = len(train) if "test" in splits else len(train) - round(TEST_SHARE * len(train))
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


def _is_class_folders(source: str, choice: Choice) -> bool:
    """Whether it is a folder in which folders stand for classes; else `datasets` reads it or finds it on the hub."""
    root = Path(source)
    if root.is_dir():
        return are_class_folders(root, choice)
    if (
        not HUB_NAME.fullmatch(source) or Path(source.split("/", maxsplit=1)[0]).exists()
    ):  # there, it is a misspelt path
        raise LatregError(f"dataset.path must be an existing folder or owner/name on the hub, got {source}")
    return False


def _from_folders(root: Path, choice: Choice) -> dict[str, Pictures]:
    if choice.subset is not None:
        raise LatregError(f"dataset.subset must be null for class folders, got {choice.subset}")
    found = read_class_folders(root, choice)
    return {
        part: Pictures(
            [(str(path), path) for path, _ in files], np.array([label for _, label in files]), found.class_names
        )
        for part, files in found.files.items()
    }


# ---- Hugging Face


def _from_hub(source: str, choice: Choice) -> dict[str, Pictures]:
    import datasets  # slow to import, and not needed once the cache is there

    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what fails is raised, too
    try:
        loaded = datasets.load_dataset(source, name=choice.subset)
    except Exception as error:  # the library raises a dozen types for "not there"
        raise LatregError(
            f"expected a folder or hub data set with a 'train' split at {source!r}: {' '.join(str(error).split())} "
            "(dataset.subset chooses a configuration; LATREG_DATA may name a local folder of data sets)"
        ) from error
    splits = choice.splits(list(loaded), source)
    if "train" not in splits:
        raise LatregError(
            f"expected a 'train' split at {source!r}, got {', '.join(loaded) or 'none'}; dataset.train_split may name "
            "another one"
        )
    columns = _columns(loaded[splits["train"]].features, source)
    class_names = _class_names(loaded[splits["train"]], columns[1], source)
    log.info("%d classes at %s, of the column %s; splits %s", len(class_names), source, columns[1], splits)
    return {part: _table(loaded[name], columns, class_names, source, name) for part, name in splits.items()}


def _table(table: Any, columns: tuple[str, str], class_names: list[str], source: str, split: str) -> Pictures:
    """One split, with labels that count in `class_names`, those of the training images."""
    import datasets

    if missing := [column for column in columns if column not in table.features]:
        raise LatregError(f"expected the column {missing[0]!r} in the {split!r} split at {source!r} too, got none")
    image_column, label_column = columns
    values = _labels(table, label_column, source)
    kept = [row for row, value in enumerate(values) if value != UNLABELLED]
    if not kept:
        raise LatregError(
            f"expected labels in the {split!r} split at {source!r}, but all {len(values)} are {UNLABELLED}; "
            "dataset.train_split and dataset.test_split may name others"
        )
    if len(kept) < len(values):
        log.warning("%d of the %d images of %s at %s have the label -1 and are left out",
                    len(values) - len(kept), len(values), split, source)  # fmt: skip
    undecoded = table.cast_column(image_column, datasets.Image(decode=False))
    cells = _present(undecoded[image_column], image_column, source)
    numbers = {name if isinstance(values[0], str) else number: number for number, name in enumerate(class_names)}
    if foreign := sorted({values[row] for row in kept} - numbers.keys()):
        raise LatregError(
            f"each image at {source!r} must have one of the {len(class_names)} classes of its 'train' split, "
            f"got {foreign[0]!r} in its {split!r} split"
        )
    named = [(f"row {row} of {split!r} at {source!r}", _cell(cells[row], source)) for row in kept]
    return Pictures(named, np.array([numbers[values[row]] for row in kept], dtype=np.int64), class_names)


def _cell(cell: dict[str, Any], source: str) -> Path | bytes:
    """The content of a picture, or its file."""
    if cell["bytes"] is not None:
        content: bytes = cell["bytes"]
        return content
    if cell["path"] and Path(cell["path"]).is_file():
        return Path(cell["path"])
    raise LatregError(f"each image at {source!r} must be there, but the file {cell['path']} is not")


def _class_names(train: Any, column: str, source: str) -> list[str]:
    """The classes of the training images, in the order of their numbers."""
    import datasets

    feature = train.features[column]
    if isinstance(feature, datasets.ClassLabel):
        return list(feature.names)
    return _names_of([value for value in _labels(train, column, source) if value != UNLABELLED], column, source)


def _labels(table: Any, column: str, source: str) -> list[Any]:
    """A column as words or whole numbers; truth values are words, and numbers with a point whole where they are.

    Raises:
        LatregError: it holds something else.
    """
    values = [str(value) if isinstance(value, bool) else value for value in _present(table[column], column, source)]
    values = [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
    if {type(value) for value in values} in ({int}, {str}):
        return values
    odd = next((value for value in values if not isinstance(value, int | str)), values[0])
    kind = getattr(table.features[column], "dtype", "another type")
    raise LatregError(
        f"the column {column!r} at {source!r} must hold words or whole numbers, got {kind} with {str(odd)[:100]}"
    )


def _columns(features: Any, source: str) -> tuple[str, str]:
    """The columns of the images and of their classes."""
    import datasets

    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    classes = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    classes = classes or [name for name in LABEL_COLUMNS if isinstance(features.get(name), datasets.Value)]
    classes.sort(key=lambda name: LABEL_COLUMNS.index(name) if name in LABEL_COLUMNS else len(LABEL_COLUMNS))
    if not images or not classes:
        raise LatregError(f"expected an image and a class label column at {source!r}, got {', '.join(features)}")
    return images[0], classes[0]


def _names_of(values: Sequence[Any], column: str, source: str) -> list[str]:
    """Class names of a column of words, or of numbers 0 .. K - 1."""
    if not values:
        raise LatregError(f"expected labels in the column {column!r} at {source!r}, but all are {UNLABELLED}")
    if isinstance(values[0], str):
        return sorted(set(values))
    if len(set(values)) != max(values) + 1 or min(values) < 0:
        raise LatregError(f"the column {column!r} at {source!r} must hold numbers from 0 on without a gap")
    return [str(number) for number in range(max(values) + 1)]


def _present(column: Iterable[Any], name: str, source: str) -> list[Any]:
    values = list(column)
    if not values or any(value is None for value in values):
        raise LatregError(f"each row at {source!r} must have a value in the column {name!r}, but some or all have none")
    return values
