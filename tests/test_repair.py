"""A classifier is trained on with its faults; what that does is measured on others."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from latreg import repair
from latreg.classifier.finetuning import load_finetuning, mixture
from latreg.classifier.sut import accuracy, load_sut
from latreg.data.images import ImageSet
from latreg.data.splits import load_split
from latreg.evaluation.repairing import halved
from tests.helpers.stripes import stripes_config
from tests.helpers.stripes_run import FAULTS, stripes_as_data, trained_stripes, write_run

PLAN = ("--images", 480, "--share", 0.5, "--repetitions", 1, "--learning-rate", 0.05)


@pytest.fixture(scope="module", autouse=True)
def weights(tmp_path_factory):
    """Of a classifier of stripes, whose data all tests of this file see."""
    with stripes_as_data():
        yield trained_stripes(tmp_path_factory.mktemp("stripes"))


@pytest.fixture(scope="module")
def run(weights, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", weights)


@pytest.fixture(scope="module")
def repaired(run, tmp_path_factory):
    """The folder that a repair has written."""
    output = tmp_path_factory.mktemp("repaired")
    assert run_repair(run, "-o", output, *PLAN) == 0
    return output


def run_repair(*arguments):
    return repair.main([str(argument) for argument in arguments])


def test_faults_repair_what_controls_do_not(repaired):
    """The faults have one cause, which no other image shows."""
    found = json.loads((repaired / "repair.json").read_text())
    assert found["faults"] == FAULTS
    assert found["before"]["faults"]["rate"] < 0.5
    rates = {arm: own["corrected"]["rate"] for arm, own in found["arms"].items()}
    assert rates["faults"] > 0.9
    assert max(rates["samples"], rates["real"]) < 0.5
    assert found["faults_over_samples"]["difference_ci95"][0] > 0.3
    assert found["arms"]["faults"]["test_accuracy"] > 0.8


def test_numbers_add_up(repaired):
    arm = json.loads((repaired / "repair.json").read_text())["arms"]["faults"]
    assert sum(one["corrected"]["of"] for one in arm["repetitions"]) == arm["corrected"]["of"] == FAULTS // 2
    assert sum(one["corrected"]["right"] for one in arm["repetitions"]) == arm["corrected"]["right"]
    assert arm["trained_on"]["of"] == FAULTS // 2
    assert arm["corrected_of_kept"]["of"] == 0
    assert arm["corrected_of_kept"]["rate"] is None


def test_the_weights_are_a_classifier_with_a_card(repaired):
    cfg = stripes_config()
    (path,) = repaired.glob("*.safetensors")
    sut = load_sut(str(path), cfg.dataset)
    assert sut.card["test_accuracy"] == accuracy(sut, load_split(cfg.dataset, "test"))
    assert sut.card["trained_on_with_faults"]["kind"] == "robust"
    again = load_finetuning(replace(cfg.classifier, weights=str(path)), cfg.dataset)
    assert again.recipe.learning_rate == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--share", 0), "--share must be between 0 and 1, got 0"),
        (("--repetitions", 0), "--repetitions must be at least 1, got 0"),
        (("--learning-rate", -1), "--learning-rate must be above 0, got -1"),
        (("--images", 10), "expected at least the 16 images of a batch to train on, got 10"),
    ],
)
def test_numbers_out_of_range_are_one_sentence(arguments, message, run, tmp_path, capsys):
    assert run_repair(run, "-o", tmp_path / "new", *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_classifier_made_elsewhere_is_refused(weights, tmp_path, capsys):
    run = write_run(tmp_path / "run", weights, "classifier=onnx")
    assert run_repair(run, "-o", tmp_path / "new") == 2
    assert "only classifiers of latreg can be trained on, got classifier=onnx" in capsys.readouterr().err


def test_a_full_folder_is_refused(run, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run_repair(run, "-o", tmp_path) == 2
    assert "must be a new or empty folder" in capsys.readouterr().err


def test_no_z_seed_is_on_both_sides():
    z_seeds = np.repeat(np.arange(11), 3)
    held_out = halved(z_seeds, 0)
    assert set(z_seeds[held_out]).isdisjoint(z_seeds[~held_out])
    assert len(set(z_seeds[held_out])) == 5
    assert (halved(z_seeds, 1) != held_out).any()


def test_a_mixture_shows_each_as_often():
    real, others = (
        ImageSet(torch.arange(first, first + n)[:, None, None, None], torch.zeros(n))
        for first, n in ((0, 100), (100, 7))
    )
    mixed = mixture(real, others, 80, 0.25, 0).images.flatten()
    assert len(mixed) == 80
    assert sorted(torch.bincount(mixed)[100:].tolist()) == [2, 3, 3, 3, 3, 3, 3]
    assert torch.bincount(mixed)[:100].max() == 1
    alone = mixture(real, others.slice(0, 0), 80, 0.25, 0).images.flatten()
    assert (alone < 100).all()
    assert torch.equal(alone[:60], mixed[:60])
