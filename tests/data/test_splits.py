"""Reading, caching, padding and splitting of images."""

import os
from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from latreg.config import DatasetConfig
from latreg.data.folders import AS_FOUND
from latreg.data.images import pad_to, quantize, to_unit
from latreg.data.pictures import find_pictures
from latreg.data.splits import load_images, resolve_source
from latreg.errors import LatregError
from latreg.training.datamodule import DataModule

LABELS = [0, 1, 2, 1, 0, 2]


def write_data_set(folder, *, mode="L", column="image", labels=LABELS):
    """A data set of the hub's layout: image i is filled with the level 10 i."""
    folder.mkdir(parents=True, exist_ok=True)
    features = datasets.Features({column: datasets.Image(), "label": datasets.ClassLabel(num_classes=3)})
    for split in ("train", "test"):
        images = [Image.new(mode, (28, 28), 10 * i if mode == "L" else (10 * i, 0, 0)) for i in range(len(labels))]
        rows = datasets.Dataset.from_dict({column: images, "label": list(labels)}, features=features)
        rows.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("LATREG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LATREG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    return tmp_path


def module(**changes):
    """The data set as an experiment would have it; `folder` lies below $LATREG_DATA."""
    settings = {"name": "toy", "hub": "x/y", "folder": "toy", "channels": 1, "resolution": 32, "validation_size": 2}
    settings["class_names"] = ["a", "b", "c"]
    return DataModule(DatasetConfig(**(settings | changes)), run_seed=0)


def test_splits_are_the_files_in_order(folders):
    write_data_set(folders / "data" / "toy")
    data = module()
    levels = {name: data.split(name).images.amax(dim=(1, 2, 3)).tolist() for name in ("train", "validation", "test")}
    assert levels == {"train": [0, 10, 20, 30], "validation": [40, 50], "test": [0, 10, 20, 30, 40, 50]}
    assert data.split("validation").labels.tolist() == LABELS[-2:]


def test_known_data_sets_may_spell_their_classes_otherwise_than_their_files(folders):
    write_data_set(folders / "data" / "toy")  # whose ClassLabel calls them 0, 1 and 2
    assert module().dataset.class_names == ["a", "b", "c"]
    assert len(module().split("train")) == 4


def test_a_class_without_a_name_is_refused(folders):
    write_data_set(folders / "data" / "toy")
    few = replace(module().dataset, class_names=["a", "b"])
    with pytest.raises(LatregError, match="labels of toy must be below its 2 class_names, got 2"):
        DataModule(few, run_seed=0).split("train")


@pytest.mark.parametrize(("mode", "column", "channels"), [("L", "image", 1), ("RGB", "img", 3)])
def test_gray_and_colour_with_their_column_names(folders, mode, column, channels):
    write_data_set(folders / "data" / "toy", mode=mode, column=column)
    assert module(channels=channels).split("train").images.shape == (4, channels, 32, 32)


def test_the_second_reading_comes_from_the_cache(folders, monkeypatch):
    source = folders / "data" / "toy"
    write_data_set(source)
    first = load_images(str(source), "train", 1)
    monkeypatch.setattr(datasets, "load_dataset", None)
    second = load_images(str(source), "train", 1)
    assert torch.equal(first.images, second.images)


def test_changed_files_are_read_again(folders):
    source = folders / "data" / "toy"
    write_data_set(source)
    assert len(load_images(str(source), "train", 1)) == 6
    write_data_set(source, labels=LABELS[:4])
    assert len(load_images(str(source), "train", 1)) == 4


def test_a_missing_folder_is_named(folders):
    (folders / "data").mkdir()
    with pytest.raises(LatregError, match=r"LATREG_DATA is set to .*must be in .*toy"):
        module().split("train")


def test_a_folder_without_images_is_refused(folders):
    source = folders / "data" / "toy"
    source.mkdir(parents=True)
    (source / "notes.txt").write_text("nothing here")
    with pytest.raises(LatregError, match=r"expected one folder of images per class in .*toy, got no folders"):
        module().split("train")


def test_no_hub_in_offline_mode_is_one_sentence(folders):
    code = """
from latreg.data.splits import load_images
from latreg.errors import LatregError
try:
    load_images("ylecun/mnist", "train", 1)
except LatregError as error:
    print(error)
"""
    import subprocess
    import sys

    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folders / "empty")}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert "expected a folder or hub data set with a 'train' split at 'ylecun/mnist'" in result.stdout


def test_an_unknown_split_is_refused(folders):
    write_data_set(folders / "data" / "toy")
    with pytest.raises(ValueError, match="split must be train, validation or test, got 'dev'"):
        module().split("dev")


def test_padding_centres_on_black():
    padded = pad_to(torch.full((1, 1, 28, 28), 7, dtype=torch.uint8), 32)
    assert padded.shape == (1, 1, 32, 32)
    assert padded[0, 0, 2:30, 2:30].eq(7).all()
    assert padded.sum() == 7 * 28 * 28


def test_padding_refuses_larger_images():
    with pytest.raises(LatregError, match="images must fit into 32x32, got 64x64"):
        pad_to(torch.zeros(1, 1, 64, 64), 32)


def test_8_bit_images_survive_the_round_trip():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(quantize(to_unit(levels)), levels)
    assert quantize(torch.tensor([-0.3, 1.7])).tolist() == [0, 255]
    assert np.float32(to_unit(levels).max()) == 1


@pytest.mark.skipif(not os.environ.get("LATREG_DATA"), reason="needs the real data in LATREG_DATA")
class TestRealData:
    REAL = os.environ.get("LATREG_DATA", "")

    def test_mnist_has_its_published_sizes_and_first_labels(self, monkeypatch):
        monkeypatch.setenv("LATREG_DATA", self.REAL)
        monkeypatch.delenv("LATREG_CACHE")  # shared with other tests
        data = module(folder="mnist", class_names=list("0123456789"))
        assert data.split("test").images.shape == (10_000, 1, 32, 32)
        train = find_pictures(resolve_source(data.dataset), "train", AS_FOUND)  # to decode them takes 15 s
        assert len(train.labels) == 60_000
        assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-40], lambda content: content[:200]])
def test_a_damaged_cache_is_made_again(damage, toy_mnist, tmp_path, caplog):
    images = load_images(str(toy_mnist), "test", 1).images
    (cache,) = (tmp_path / "cache").rglob("*.npz")
    sound = cache.read_bytes()
    cache.write_bytes(damage(sound))
    assert torch.equal(load_images(str(toy_mnist), "test", 1).images, images)
    assert f"{cache} is damaged" in caplog.text
    assert cache.read_bytes() == sound


def test_a_flipped_bit_of_a_cache_is_seen(toy_mnist, tmp_path, caplog):
    images = load_images(str(toy_mnist), "test", 1).images
    (cache,) = (tmp_path / "cache").rglob("*.npz")
    cache.write_bytes(cache.read_bytes().replace(b"(20, 1, 28, 28)", b"(20, 1, 24, 28)"))
    assert torch.equal(load_images(str(toy_mnist), "test", 1).images, images)
    assert f"{cache} is damaged" in caplog.text
