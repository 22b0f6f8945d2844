"""Labelled pictures in folders, as people keep them: which folders are splits, which are classes, what is passed over.

Files and folders that begin with a dot or two underscores (.DS_Store, ._x.png, __MACOSX) are no part of the data.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from latreg.errors import LatregError

log = logging.getLogger(__name__)

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "validation", "valid", "val", "eval", "dev")  # the first that is there is used
PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
TABLE_SUFFIXES = {".parquet", ".arrow", ".csv", ".json", ".jsonl", ".tar", ".zip"}  # what `datasets` reads
INSIDE = "of folders within a class"


@dataclass(frozen=True)
class Choice:
    """What is wanted of a data set; None = what is found."""

    subset: str | None = None  # a configuration of a data set on the hub
    train: str | None = None  # name of the split with the training images
    test: str | None = None

    def splits(self, names: Sequence[str], source: str) -> dict[str, str]:
        """Which of these splits are "train" and "test"; capitals do not matter to those that are not chosen.

        Raises:
            LatregError: a chosen one is not there.
        """
        there = ", ".join(names) or "none"
        for key, chosen in (("train_split", self.train), ("test_split", self.test)):
            if chosen is not None and chosen not in names:
                raise LatregError(f"dataset.{key} must be one of the splits of {source!r} ({there}), got {chosen}")
        found = {"train": self.train or _first(names, TRAIN_NAMES), "test": self.test or _first(names, TEST_NAMES)}
        return {part: name for part, name in found.items() if name is not None}


AS_FOUND = Choice()


def _first(names: Iterable[str], known: Sequence[str]) -> str | None:
    there = {name.lower(): name for name in names}
    return next((there[name] for name in known if name in there), None)


@dataclass(frozen=True)
class ClassFolders:
    """The files of each split, "train" and perhaps "test", with the numbers of their classes."""

    files: dict[str, list[tuple[Path, int]]]
    class_names: list[str]


def are_class_folders(root: Path, choice: Choice) -> bool:
    """Whether folders stand for classes. Else tables describe the pictures, and `datasets` reads both.

    Pictures beside a metadata table, or in a single folder beside it, have the classes of that table.
    """
    names = [path.name for path in _folders(root)]
    chosen = {name for name in (choice.train, choice.test) if name is not None}
    splits = _split_folders(root, choice) if chosen <= set(names) else {"train": root}
    for folder in splits.values():
        enough = 2 if _is_described(folder) else 1
        if sum(1 for path in _folders(folder) if _pictures(path)) >= enough:
            return True
    return not any(path.suffix in TABLE_SUFFIXES for folder in {root, *splits.values()} for path in _tree(folder))


def read_class_folders(root: Path, choice: Choice) -> ClassFolders:
    """Files and classes, and what was passed over in the log.

    Raises:
        LatregError: there are no classes, one has no images, or one of the test images has no training images.
    """
    splits = _split_folders(root, choice)
    class_names = [path.name for path in _class_level(splits["train"])]
    aside = Counter[str]()
    files = {part: _class_files(folder, class_names, aside) for part, folder in splits.items()}
    counts = ", ".join(f"{len(of)} images in {splits[part]}" for part, of in files.items())
    log.info("%d classes (%s); %s", len(class_names), _shortened(class_names), counts)
    if others := [path.name for path in _folders(root) if path not in splits.values() and splits["train"] != root]:
        log.warning("Passed over in %s, as they are no splits in use: %s", root, _shortened(others))
    if aside:
        log.warning("Passed over in %s, as only %s are read: %s", root, _listed(PICTURE_SUFFIXES), _counted(aside))
    return ClassFolders(files, class_names)


def _split_folders(root: Path, choice: Choice) -> dict[str, Path]:
    """The folders that are "train" and "test"; the root where folders are classes, one of which may be called train."""
    names = [path.name for path in _folders(root)]
    splits = {part: root / name for part, name in choice.splits(names, str(root)).items()}
    train = splits.get("train")
    if train is None or not (choice.train or _folders(train) or _is_described(train)):
        return {"train": root}
    return splits


def _class_level(root: Path) -> list[Path]:
    if classes := _folders(root):
        return classes
    count = len(_pictures(root))
    raise LatregError(
        f"expected one folder of images per class in {root}, got no folders{f' but {count} images' if count else ''}; "
        "without folders a metadata.csv must name classes, in the columns file_name and label"
    )


def _class_files(root: Path, class_names: Sequence[str], aside: Counter[str]) -> list[tuple[Path, int]]:
    """The pictures of all classes; what else is beside them is counted by kind."""
    found = []
    for folder in _class_level(root):
        files = _pictures(folder)
        others = Counter(INSIDE if path.is_dir() else path.suffix.lower() for path in _visible(folder))
        others = Counter({kind: count for kind, count in others.items() if kind not in PICTURE_SUFFIXES})
        if folder.name not in class_names:
            raise LatregError(f"each class must have training images, got none for {folder}")
        if not files:
            what = f", but {_counted(others)}, which are not read" if others else ""
            raise LatregError(f"each class must have images, got none in {folder}{what}")
        found += [(path, class_names.index(folder.name)) for path in files]
        aside.update(others)
    return found


def _is_described(folder: Path) -> bool:
    return any(path.stem == "metadata" and path.suffix in TABLE_SUFFIXES for path in _visible(folder))


def _visible(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if not path.name.startswith((".", "__")))


def _folders(root: Path) -> list[Path]:
    return [path for path in _visible(root) if path.is_dir()]


def _pictures(root: Path) -> list[Path]:
    return [path for path in _visible(root) if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]


def _tree(root: Path) -> Iterable[Path]:
    """All files that are not hidden, in whatever depth."""
    for path in _visible(root):
        yield from _tree(path) if path.is_dir() and not path.is_symlink() else (path,)


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind or 'without suffix'}" for kind, count in sorted(kinds.items()))


def _listed(kinds: Iterable[str]) -> str:
    return ", ".join(sorted(kinds))


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", .." if len(names) > 10 else "")
