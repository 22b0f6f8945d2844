"""Pictures of the user's own: found, read and described, or refused in one sentence."""

import datasets
import numpy as np
import pytest
from PIL import Image

from latreg.data.splits import complete
from latreg.errors import LatregError
from latreg.training.datamodule import DataModule
from tests.helpers.pictures import CLASSES, picture, write_folders
from tests.helpers.settings import composed


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("LATREG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("LATREG_DATA", str(tmp_path / "not used for one's own data"))


def described(kind, path, *overrides):
    """The settings of dataset=<kind> after the missing ones were found."""
    dataset = composed(f"dataset={kind}", *overrides).dataset
    dataset.path = path and str(path)
    complete(dataset)
    return dataset


def write_table(folder, features, rows, split="train"):
    folder.mkdir(exist_ok=True)
    table = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    table.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return folder


def shares(labels, classes=3):
    return (np.bincount(labels.numpy(), minlength=classes) / len(labels)).tolist()


# ---- folders


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("test", ["test", "val"])
def test_train_and_test_with_a_folder_per_class(tmp_path, suffix, test):
    root = tmp_path / "photos"
    write_folders(root / "train", 20, suffix=suffix)
    write_folders(root / test, 4, suffix=suffix)
    dataset = described("folder", root)
    assert dataset.name == "photos"
    assert (dataset.channels, dataset.resolution, dataset.validation_size) == (3, 32, 6)
    assert list(dataset.class_names) == list(CLASSES)
    data = DataModule(dataset, 0)
    splits = {name: data.split(name) for name in ("train", "validation", "test")}
    assert {name: len(split) for name, split in splits.items()} == {"train": 54, "validation": 6, "test": 12}
    for split in splits.values():
        assert shares(split.labels) == pytest.approx([1 / 3] * 3)
        brightest = split.images.float().mean(dim=(2, 3)).argmax(dim=1)
        assert (2 - brightest).tolist() == split.labels.tolist()


def test_without_a_test_folder_the_last_fifth_is_test_images(tmp_path):
    root = write_folders(tmp_path / "photos", 20)
    (root / ".hidden").mkdir()
    (root / "red" / "Thumbs.db").write_text("")
    (root / "red" / "notes.txt").write_text("")
    data = DataModule(described("folder", root), 0)
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [43, 5, 12]
    assert shares(data.split("test").labels) == pytest.approx([1 / 3] * 3)
    together = np.concatenate([data.split(name).images.flatten(1).numpy() for name in ("train", "validation", "test")])
    assert len(np.unique(together, axis=0)) == 60


def test_a_class_may_be_called_train(tmp_path):
    root = write_folders(tmp_path / "vehicles", classes=("car", "train"))
    assert list(described("folder", root).class_names) == ["car", "train"]


def test_a_table_about_the_pictures_is_passed_over(tmp_path):
    """As latreg.export writes it."""
    root = write_folders(tmp_path / "faults")
    (root / "metadata.csv").write_text("file_name,label\n")
    assert described("folder", root).class_names == list(CLASSES)


def test_gray_pictures_have_one_channel(tmp_path):
    root = write_folders(tmp_path / "photos", mode="L")
    dataset = described("folder", root)
    assert dataset.channels == 1
    assert DataModule(dataset, 0).split("train").images.shape == (21, 1, 32, 32)
    coloured = described("folder", root, "dataset.channels=3")
    assert DataModule(coloured, 0).split("train").images.shape == (21, 3, 32, 32)


@pytest.mark.parametrize(("size", "resolution"), [(20, 32), (32, 32), (48, 64), (64, 64)])
def test_the_resolution_is_the_next_power_of_two(tmp_path, size, resolution):
    dataset = described("folder", write_folders(tmp_path / "photos", 4, size=size))
    assert dataset.resolution == resolution
    assert DataModule(dataset, 0).split("test").images.shape[-2:] == (resolution, resolution)


def test_what_is_given_is_kept(tmp_path):
    root = write_folders(tmp_path / "photos")
    dataset = described("folder", root, "dataset.name=mine", "dataset.resolution=64", "dataset.validation_size=3")
    assert (dataset.name, dataset.resolution, dataset.validation_size) == ("mine", 64, 3)


OTHER_NAMES = [
    ("[blue,green]", "dataset.class_names must name the 3 classes of .*photos', got 2"),
    ("[green,blue,red]", "must have the order of .*photos', where 'green' is class 1, got it as class 0"),
    ("[blau,red,green]", "must have the order of .*photos', where 'red' is class 2, got it as class 1"),
]


@pytest.mark.parametrize("others", [[], ["dataset.channels=3", "dataset.resolution=32", "dataset.validation_size=3"]])
@pytest.mark.parametrize(("names", "message"), OTHER_NAMES)
def test_class_names_that_are_not_those_of_the_images_are_refused(tmp_path, names, message, others):
    """Where something else is to be found in the images, at once; else where they are used."""
    root = write_folders(tmp_path / "photos")
    with pytest.raises(LatregError, match=message):
        DataModule(described("folder", root, f"dataset.class_names={names}", *others), 0).split("test")


@pytest.mark.parametrize("names", [["blue", "green", "red"], ["blau", "grün", "rot"], ["0", "1", "2"]])
def test_classes_may_be_called_otherwise_than_in_the_data(tmp_path, names):
    dataset = described("folder", write_folders(tmp_path / "photos"), f"dataset.class_names={names}")
    assert list(dataset.class_names) == names
    assert DataModule(dataset, 0).split("train").labels.max() == 2


@pytest.mark.parametrize("size", [-1, 0, 24, 25])
@pytest.mark.parametrize("name", ["train", "validation"])
def test_a_validation_split_must_leave_images_to_train_on(tmp_path, size, name):
    root = write_folders(tmp_path / "photos")  # 24 training images
    dataset = described("folder", root, f"dataset.validation_size={size}")
    message = rf"dataset\.validation_size must be at least 1 and below the 24 training images, got {size}"
    with pytest.raises(LatregError, match=message):
        DataModule(dataset, 0).split(name)


def test_many_classes(tmp_path):
    names = [f"class {i:03d}" for i in range(120)]
    dataset = described("folder", write_folders(tmp_path / "photos", 5, classes=names))
    assert list(dataset.class_names) == names


# ---- Hugging Face, from a local folder


@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("img", "fine_label"), ("picture", "what it shows")])
def test_columns_are_found_by_what_they_hold(tmp_path, image, label):
    features = {
        "id": datasets.Value("int64"),
        "coarse_label": datasets.ClassLabel(names=["thing"]),
        image: datasets.Image(),
        label: datasets.ClassLabel(names=list(CLASSES)),
    }
    if label == "what it shows":
        del features["coarse_label"]
    labels = [i % 3 for i in range(30)]
    pictures = [picture(i % 3, i) for i in range(30)]
    rows = {"id": labels, "coarse_label": [0] * 30, image: pictures, label: labels}
    for split in ("train", "test"):
        write_table(tmp_path / "data", features, {name: rows[name] for name in features}, split)
    dataset = described("hub", tmp_path / "data")
    assert list(dataset.class_names) == list(CLASSES)
    assert DataModule(dataset, 0).split("test").labels.tolist() == labels


@pytest.mark.parametrize("words", [True, False])
def test_labels_may_be_words_or_numbers(tmp_path, words):
    labels = [i % 3 for i in range(30)]
    features = {"image": datasets.Image(), "label": datasets.Value("string" if words else "int64")}
    values = [CLASSES[i] for i in labels] if words else labels
    write_table(tmp_path / "data", features, {"image": [picture(i % 3, i) for i in range(30)], "label": values})
    dataset = described("hub", tmp_path / "data")
    assert list(dataset.class_names) == (list(CLASSES) if words else ["0", "1", "2"])
    data = DataModule(dataset, 0)
    assert data.split("train").labels.tolist() == labels[:21]
    assert data.split("test").labels.tolist() == labels[24:]


@pytest.mark.parametrize("words", [True, False])
def test_test_images_may_lack_a_class(tmp_path, words):
    folder, values = tmp_path / "data", CLASSES if words else range(3)
    features = {"image": datasets.Image(), "label": datasets.Value("string" if words else "int64")}
    for split, labels in (("train", [0, 1, 2] * 5), ("test", [2, 0, 2, 0])):
        rows = {"image": [picture(y, i) for i, y in enumerate(labels)], "label": [values[y] for y in labels]}
        write_table(folder, features, rows, split)
    dataset = described("hub", folder)
    assert list(dataset.class_names) == [str(value) for value in values]
    assert DataModule(dataset, 0).split("test").labels.tolist() == [2, 0, 2, 0]


@pytest.mark.parametrize(("train", "test", "got"), [(["a", "b"], ["b", "c"], "'c'"), ([0, 1], [1, 5], "5")])
def test_test_images_of_a_class_without_training_images_are_refused(tmp_path, train, test, got):
    features = {"image": datasets.Image(), "label": datasets.Value("string" if got == "'c'" else "int64")}
    for split, values in (("train", train), ("test", test)):
        write_table(tmp_path / "data", features, {"image": [picture(0), picture(1)], "label": values}, split)
    message = f"must have one of the 2 classes of its 'train' split, got {got} in its 'test' split"
    with pytest.raises(LatregError, match=message):
        described("hub", tmp_path / "data")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_rows_grouped_by_class_are_dealt_out(tmp_path, order):
    labels = [label for label in order for _ in range(20)]
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    write_table(tmp_path / "data", features, {"image": [picture(y, i) for i, y in enumerate(labels)], "label": labels})
    data = DataModule(described("hub", tmp_path / "data", "dataset.validation_size=12"), 0)
    for name in ("train", "validation", "test"):
        assert shares(data.split(name).labels) == pytest.approx([1 / 3] * 3)


# ---- what is refused


def spoil(change):
    """Ten pictures of each class, and something wrong."""

    def make(tmp_path):
        root = write_folders(tmp_path / "photos")
        change(root)
        return root

    return make


def two_sizes(root):
    foreign_test_class(root)
    for path in (root / "test" / "yellow").iterdir():
        path.unlink()
    (root / "test" / "yellow").rmdir()
    write_folders(root / "test", classes=("blue",), size=16)


def empty(root):
    for path in (root / "red").iterdir():
        path.unlink()


def only_one(root):
    for name in ("green", "red"):
        for path in (root / name).iterdir():
            path.unlink()
        (root / name).rmdir()


def foreign_test_class(root):
    root.joinpath("all").mkdir()
    for name in CLASSES:
        (root / name).rename(root / "all" / name)
    root.joinpath("all").rename(root / "train")
    write_folders(root / "test", classes=("blue", "yellow"))


BAD = [
    (spoil(lambda r: picture(2, 99, 40).save(r / "red" / "x.png")), r"one size, got 32x32 in .*png, 40x40 in .*x\.png"),
    (spoil(lambda r: picture(2).resize((32, 40)).save(r / "red" / "x.png")), r"must be square, got 32x40 in .*x\.png"),
    (spoil(lambda r: (r / "red" / "x.png").write_bytes(b"no")), r"red/x\.png cannot be read as an image"),
    (spoil(lambda r: (r / "red" / "x.jpg").write_bytes(b"")), r"red/x\.jpg cannot be read as an image"),
    (spoil(lambda r: cut(r / "red" / "000.png")), r"red/000\.png cannot be read as an image"),
    (
        spoil(lambda r: picture(2, 5, mode="L").save(r / "red" / "x.png")),
        r"must be 3 where gray and colour are mixed: .*x",
    ),
    (spoil(lambda r: deep(r / "red" / "x.png")), r"must have 8 bits per channel, got the mode I;16 in .*x\.png"),
    (spoil(two_sizes), "images must have one size, got 32x32 to train and 16x16 to test"),
    (spoil(empty), "each class must have images, got none in .*red"),
    (spoil(only_one), "expected images of two or more classes at .*photos', got blue"),
    (spoil(foreign_test_class), "each class must have training images, got none for .*yellow"),
    (lambda tmp_path: tmp_path, "expected one folder of images per class in .*, got no folders"),
    (
        lambda tmp_path: tmp_path / "none",
        "dataset.path must be an existing folder or owner/name on the hub, got .*none",
    ),
]


def cut(path):
    path.write_bytes(path.read_bytes()[:60])


def deep(path):
    Image.fromarray(np.zeros((32, 32), dtype=np.uint16)).save(path)


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_folders_are_one_sentence(tmp_path, make, message):
    with pytest.raises(LatregError, match=message):
        described("folder", make(tmp_path))


def test_colours_do_not_fit_one_channel(tmp_path):
    dataset = described("folder", write_folders(tmp_path / "photos"), "dataset.channels=1")
    with pytest.raises(LatregError, match=r"dataset\.channels must be 3 for the colour images of .*photos', got 1"):
        DataModule(dataset, 0).split("train")


def test_mixed_pictures_may_all_be_taken_as_colour(tmp_path):
    root = write_folders(tmp_path / "photos")
    picture(2, 5, mode="L").save(root / "red" / "x.png")
    assert DataModule(described("folder", root, "dataset.channels=3"), 0).split("train").images.shape[1] == 3


def test_a_path_must_be_given():
    with pytest.raises(
        LatregError, match=r"dataset\.path must name a folder of images or a data set of the hub, got null"
    ):
        described("folder", None)


TABLES = [
    (
        {"label": datasets.Value("int64")},
        {"label": [0, 1]},
        "expected an image and a class label column at .*, got label",
    ),
    (
        {"image": datasets.Image()},
        {"image": [picture(0), picture(1)]},
        "an image and a class label column .*, got image",
    ),
    (
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])},
        {"image": [picture(0), picture(1)], "label": [-1, -1]},
        "expected labels in the 'train' split at .*, but all 2 are -1",
    ),
    (
        {"image": datasets.Image(), "label": datasets.Value("int64")},
        {"image": [picture(0), picture(1)], "label": [0, 7]},
        "the column 'label' at .* must hold numbers from 0 on without a gap",
    ),
    (
        {"image": datasets.Image(), "label": datasets.Value("string")},
        {"image": [picture(0), None], "label": ["a", "b"]},
        "each row at .* must have a value in the column 'image'",
    ),
]


@pytest.mark.parametrize(("features", "rows", "message"), TABLES)
def test_bad_tables_are_one_sentence(tmp_path, features, rows, message):
    with pytest.raises(LatregError, match=message):
        described("hub", write_table(tmp_path / "data", features, rows))
