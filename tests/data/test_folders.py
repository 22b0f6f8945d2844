"""Data sets as people keep them: read right, or refused in a sentence that says what was found."""

import os

import datasets
import numpy as np
import pytest

from latreg.data.folders import Choice
from latreg.data.pictures import find_pictures
from latreg.data.splits import load_images
from latreg.errors import LatregError
from tests.helpers.hostile import EPS, png_of
from tests.helpers.pictures import picture, write_folders

TWO = ("cat", "dog")


def test_names_that_are_no_utf_8(tmp_path):
    root = two(tmp_path / os.fsdecode(b"data\xff"))
    (root / "cat" / "000.png").rename(root / "cat" / os.fsdecode(b"\xfe.png"))
    assert len(load_images(str(root), "train", 3)) > 0


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("LATREG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))


def two(root, count=3):
    return write_folders(root, count, TWO)


def flat(root, labels, count=6):
    """Pictures beside each other, and metadata.csv with their classes."""
    root.mkdir(parents=True)
    for i in range(count):
        picture(i % 2, i).save(root / f"{i}.png")
    if labels:
        lines = [f"{i}.png,{labels[i % len(labels)]}" for i in range(count)]
        (root / "metadata.csv").write_text("\n".join(["file_name,label", *lines, ""]))
    return root


def table(root, values, feature, split="train"):
    root.mkdir(parents=True, exist_ok=True)
    rows = {"image": [picture(i % 2, i) for i in range(len(values))], "label": values}
    features = datasets.Features({"image": datasets.Image(), "label": feature})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(root / f"{split}-00000-of-00001.parquet"))
    return root


def beside(change):
    """Class folders, and something beside them."""

    def make(root):
        two(root)
        change(root)
        return root

    return make


def hidden(root):
    (root / "__MACOSX" / "cat").mkdir(parents=True)
    (root / "__MACOSX" / "cat" / "._000.png").write_bytes(b"\0")
    for path in (root / ".DS_Store", root / "cat" / "._000.png", root / "cat" / ".DS_Store"):
        path.write_bytes(b"\0")


def others(root):
    (root / "labels.csv").write_text("a,b\n1,2\n")
    (root / "README.md").touch()
    (root / "cat" / "x.heic").touch()
    (root / "cat" / "more").mkdir()


def named_splits(train, test):
    def make(root):
        two(root / train, 4)
        two(root / test, 1)
        (root / "raw").mkdir()
        return root

    return make


VALUE = datasets.Value
READ = {  # => classes, and how many training and test images
    "class folders": (two, TWO, (5, 1)),
    "hidden files": (beside(hidden), TWO, (5, 1)),
    "tables, notes and other kinds beside classes": (beside(others), TWO, (5, 1)),
    "train and test": (named_splits("train", "test"), TWO, (8, 2)),
    "Train and Test": (named_splits("Train", "Test"), TWO, (8, 2)),
    "training and testing": (named_splits("training", "testing"), TWO, (8, 2)),
    "metadata.csv": (lambda root: flat(root, TWO), TWO, (5, 1)),
    "metadata.csv in train": (lambda root: flat(root / "train", TWO).parent, TWO, (5, 1)),
    "metadata.csv beside one folder": (lambda root: flat(root / "train", TWO).parent, TWO, (5, 1)),
    "words": (lambda root: table(root, ["cat", "dog"] * 3, VALUE("string")), TWO, (5, 1)),
    "large words": (lambda root: table(root, ["cat", "dog"] * 3, VALUE("large_string")), TWO, (5, 1)),
    "truth values": (lambda root: table(root, [True, False] * 3, VALUE("bool")), ("False", "True"), (5, 1)),
    "uint16": (lambda root: table(root, [0, 1] * 3, VALUE("uint16")), ("0", "1"), (5, 1)),
    "whole floats": (lambda root: table(root, [0, 1] * 3, VALUE("float64")), ("0", "1"), (5, 1)),
    "some without a label": (lambda root: table(root, [0, 1, -1] * 2, VALUE("int64")), ("0", "1"), (3, 1)),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read(kind, tmp_path):
    make, classes, counts = READ[kind]
    source = str(make(tmp_path / "data"))
    found = [find_pictures(source, split) for split in ("train", "test")]
    assert tuple(found[0].class_names) == classes
    assert tuple(map(len, found)) == counts


def unlabelled(root):
    table(root, [0, 1], VALUE("int64"))
    table(root, [0, 1], VALUE("int64"), "validation")
    return table(root, [-1, -1], VALUE("int64"), "test")


def of_content(content):
    return beside(lambda root: (root / "cat" / "x.png").write_bytes(content))


REFUSED = {
    "flat": (lambda root: flat(root, ()), "expected one folder of images per class in .*, got no folders but 6 images"),
    "a flat test split": (
        lambda root: [two(root / "train"), flat(root / "test", ())] and root,
        "per class in .*test, got no folders but 6 images",
    ),
    "a class of another kind": (
        beside(lambda root: [p.rename(p.with_suffix(".heic")) for p in (root / "cat").iterdir()]),
        r"got none in .*cat, but 3 \.heic, which are not read",
    ),
    "half numbers": (lambda root: table(root, [0.5, 1.0], VALUE("float64")), "whole numbers, got float64 with 0.5"),
    "times": (
        lambda root: table(root, [np.datetime64("2020", "s")] * 2, VALUE("timestamp[s]")),
        r"must hold words or whole numbers, got timestamp\[",
    ),
    "a test split without labels": (unlabelled, r"in the 'test' split .* all 2 are -1; .*dataset\.test_split may name"),
    "no labels": (lambda root: table(root, [-1, -1], VALUE("int64")), "expected labels in .*'label'.*, but all are -1"),
    "a program": (of_content(EPS), "x.png cannot be read as an image: it is none of PNG"),
    "billions of pixels": (of_content(png_of(2**31 - 1, 2**31 - 1)), "x.png must have at most 4096x4096 pixels"),
    "a large one": (of_content(png_of(9_000, 9_000)), "x.png must have at most 4096x4096 pixels, got 9000x9000"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind, tmp_path):
    make, message = REFUSED[kind]
    source = str(make(tmp_path / "data"))
    with pytest.raises(LatregError, match=message):
        [load_images(source, split, 3) for split in ("train", "test")]


def test_what_is_passed_over_is_counted_in_the_log(tmp_path, caplog):
    caplog.set_level("INFO")
    find_pictures(str(beside(others)(tmp_path / "data")), "train")
    assert "2 classes (cat, dog); 6 images in" in caplog.text
    assert "1 .heic, 1 of folders within a class" in caplog.text


@pytest.mark.parametrize("kind", ["folders", "table"])
def test_a_split_is_chosen(kind, tmp_path):
    root = tmp_path / "data"
    for name, count in (("train", 3), ("fit", 4), ("held-out", 2)):
        if kind == "folders":
            two(root / name, count)
        else:
            table(root / "data", ["cat", "dog"] * count, VALUE("string"), name.replace("-", "_"))
    names = ("fit", "held-out" if kind == "folders" else "held_out")
    counts = [len(find_pictures(str(root), split, Choice(None, *names))) for split in ("train", "test")]
    assert counts == [8, 4]
    with pytest.raises(LatregError, match=r"dataset\.train_split must be one of the splits of .* got nothing"):
        find_pictures(str(root), "train", Choice(train="nothing"))


@pytest.mark.parametrize("path", ["./phtos", "nowhere", "/nowhere/at/all", "../x", "photos/x/y", "here/x", ""])
def test_what_is_no_folder_and_no_name_is_not_asked_of_the_hub(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(datasets, "load_dataset", None)
    with pytest.raises(LatregError, match=r"dataset\.path must be an existing folder or owner/name on the hub, got"):
        find_pictures(path or "?", "train")
