"""Saved faults leave a run in three formats, with the very pixels that the classifier saw."""

import csv
import json
import re
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from latreg import export
from latreg.data.images import load_probe
from latreg.runs.records import write_part
from tests.helpers.example_records import MEASURED, image, pair, record, severe
from tests.helpers.settings import saved


@pytest.fixture
def run(tmp_path):
    """A run's folder with four sources: two valid faults, one that is not valid, one without a fault."""
    return make_run(tmp_path / "run")


def make_run(folder, rows=None, *overrides):
    folder.mkdir()
    (folder / "config.yaml").write_text(saved("+experiment=mnist_mixing", *overrides))
    status = {"versions": {"latreg": "0.1"}, "git_commit": "abc", "weights": {"sut": "5" * 64, "judge": None}}
    status["command"] = "python -m latreg.run +experiment=mnist_mixing hydra.run.dir=/somewhere"
    (folder / "status.json").write_text(json.dumps(status))
    write_part(folder, 0, rows if rows is not None else FAULTS, MEASURED)
    return folder


FAULTS = [
    pair(z_seed=1),
    pair(z_seed=2, label=3, predicted=5, first_image=image(7)),
    pair(z_seed=3, valid_fault=False, first_image=image(8)),
    record(z_seed=4),
]


def run_export(*arguments):
    return export.main([str(argument) for argument in arguments])


def test_imagefolder(run, tmp_path, capfd):
    out = tmp_path / "out"
    assert run_export(run, "-o", out) == 0
    assert capfd.readouterr().out.splitlines() == ["2 faults of 2 classes", str(out)]
    assert {p.relative_to(out).as_posix() for p in out.rglob("*.png")} == {
        "1/class1_z1_as2.png", "3/class3_z2_as5.png"
    }  # fmt: skip
    rows = list(csv.DictReader((out / "metadata.csv").open()))
    assert [(row["label"], row["predicted"], row["z_seed"], row["predicted_name"]) for row in rows] == [
        ("1", "2", "1", "2"), ("3", "5", "2", "5")
    ]  # fmt: skip
    assert np.array_equal(np.asarray(Image.open(out / rows[1]["file_name"])), image(7)[0])
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(out), split="train", drop_labels=True, cache_dir=str(tmp_path / "cache")
    )
    assert loaded["label"][:] == [1, 3]
    assert np.array_equal(np.asarray(loaded[1]["image"]), image(7)[0])


def test_npz_is_a_set_of_labelled_images(run, tmp_path):
    assert run_export(run, "--format", "npz", "--kind", "flipped", "-o", tmp_path / "out") == 0
    path = tmp_path / "out" / "faults.npz"
    loaded = load_probe(path, 32)
    assert loaded.labels.tolist() == [1, 3, 1]
    assert np.array_equal(loaded.images[2].numpy(), image(8))
    with np.load(path) as arrays:
        assert arrays["predicted"].tolist() == [2, 5, 2]
        assert arrays["z_seeds"].tolist() == [1, 2, 3]
        assert arrays["class_names"][3] == "3"


def test_a_robust_fault_is_its_most_severe_image_and_a_valid_one_lies_on_the_boundary(tmp_path):
    run = make_run(tmp_path / "run", [severe(), pair(z_seed=5, robust_fault=False)])
    found = {}
    for kind in ("robust", "valid"):
        assert run_export(run, "--kind", kind, "-o", tmp_path / kind) == 0
        rows = list(csv.DictReader((tmp_path / kind / "metadata.csv").open()))
        names = ("predicted", "margin", "ssim", "robust_fault")
        found[kind] = [tuple(row[name] for name in names) for row in rows]
        shown = np.asarray(Image.open(tmp_path / kind / rows[0]["file_name"]))
        assert np.array_equal(shown, image({"robust": 3, "valid": 2}[kind])[0])
    assert found["robust"] == [("4", "-0.4", "0.9", "True")]
    assert found["valid"] == [("2", "-0.2", "0.99", "True"), ("2", "-0.2", "0.99", "False")]


def test_hf_is_a_data_set_with_class_labels(run, tmp_path):
    out = tmp_path / "out"
    assert run_export(run, "--format", "hf", "-o", out) == 0
    loaded = datasets.load_dataset(str(out), split="test", cache_dir=str(tmp_path / "cache"))
    assert loaded.features["label"].names == [str(n) for n in range(10)]
    assert loaded["label"][:] == [1, 3]
    assert np.array_equal(np.asarray(loaded[0]["image"]), image(2)[0])


def test_colour_images_and_names_that_are_no_file_names(tmp_path):
    rows = [pair(3, label=0, predicted=1), pair(3, label=9, predicted=1, z_seed=5)]
    names = "dataset.class_names=[T-shirt/top,a,b,c,d,e,f,g,h,Ankle boot]"
    run = make_run(tmp_path / "run", rows, names, "dataset.channels=3")
    assert run_export(run, "-o", tmp_path / "out") == 0
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"T-shirt-top", "Ankle-boot"}
    (png,) = (tmp_path / "out" / "T-shirt-top").iterdir()
    assert np.array_equal(np.asarray(Image.open(png)).transpose(2, 0, 1), image(2, 3))


def test_folder_names_are_distinct():
    assert export.folder_names(["a/b", "a b", "..", "C"]) == ["0-a-b", "1-a-b", "2", "3-C"]
    assert export.folder_names(["0", "Ω"]) == ["0", "Ω"]


@pytest.mark.parametrize("format", export.FORMATS)
def test_the_card_says_where_they_come_from(format, run, tmp_path):
    assert run_export(run, "--format", format, "-o", tmp_path / "out") == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "# Faults of mnist_sut on mnist" in card  # though config.yaml is like those of older runs and says cnn
    assert "2 generated images that the classifier gets wrong, 2 of them valid faults" in card
    assert "2 of these are robust" in card
    assert f"| sut, sha256 | {'5' * 64} |" in card
    assert "| 3 | 1 | 5 1 |" in card
    assert "judge" not in re.sub(r"judge_\w", "", card) or "None" not in card
    assert "\npython -m latreg.run +experiment=mnist_mixing\n" in card
    assert f"\npython -m latreg.export RUN_DIR --format {format} --kind robust -o DIR\n" in card
    assert "/somewhere" not in card
    assert str(tmp_path) not in card


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([record()], [], r"expected robust faults in .*, got none of 1 sources$"),
        ([pair(valid_fault=False)], [], r"got none of 1 sources; --kind flipped takes the 1 that are not valid$"),
        ([record()], ["--kind", "flipped"], r"expected faults in .*, got none of 1 sources$"),
        ([], [], r"got none of 0 sources$"),
        ([pair(robust_fault=False)], [], r"got none of 1 sources; --kind valid takes the 1 that are valid$"),
        ([pair(robust_fault=None)], [], r"sources, as the run did not measure it; --kind valid takes the 1 that"),
    ],
)
def test_a_run_without_faults_is_refused(rows, arguments, message, tmp_path, capfd):
    run = make_run(tmp_path / "run", rows)
    assert run_export(run, *arguments, "-o", tmp_path / "out") == 2
    assert re.search(message, capfd.readouterr().err.strip())
    assert not (tmp_path / "out").exists()


def test_other_folders_are_refused(run, tmp_path, capfd):
    assert run_export(tmp_path, "-o", tmp_path / "out") == 2
    assert "expected the folder of a run" in capfd.readouterr().err
    assert run_export(run, "-o", run) == 2
    assert "must be a new or empty folder" in capfd.readouterr().err
    (tmp_path / "file").touch()
    assert run_export(run, "-o", Path(tmp_path / "file" / "out")) == 2
    assert "must be in a folder that can be written" in capfd.readouterr().err
