"""Slightly wrong classifiers, and which tests tell them from the original."""

import json
from math import comb

import pytest
import torch

from latreg import mutants
from latreg.classifier.finetuning import load_finetuning
from latreg.classifier.mutation import LOSS, OPERATORS, Original
from latreg.classifier.sut import TorchSUT, accuracy
from latreg.data.splits import load_split
from tests.helpers.stripes import stripes_config
from tests.helpers.stripes_run import FAULTS, stripes_as_data, trained_stripes, write_run


@pytest.fixture(scope="module", autouse=True)
def weights(tmp_path_factory):
    """Of a classifier of stripes, whose data all tests of this file see."""
    with stripes_as_data():
        yield trained_stripes(tmp_path_factory.mktemp("stripes"))


@pytest.fixture(scope="module")
def original(weights):
    cfg = stripes_config()
    cfg.classifier.weights = str(weights)
    finetuning = load_finetuning(cfg.classifier, cfg.dataset).at_full_rate()
    assert finetuning.recipe.learning_rate == pytest.approx(0.1)
    return Original(finetuning, load_split(cfg.dataset, "train"))


@pytest.fixture(scope="module")
def train():
    return load_split(stripes_config().dataset, "train")


def test_tests_that_differ_are_counted(weights, tmp_path):
    run = write_run(tmp_path / "run", weights)
    assert mutants.main([str(run), "--each", "1", "--images", "96", "-o", str(tmp_path / "mutants.json")]) == 0
    found = json.loads((tmp_path / "mutants.json").read_text())
    assert found["tests"] == {"faults": FAULTS, "sources": FAULTS, "real": 60}
    assert [one["operator"] for one in found["mutants"]] == list(OPERATORS)
    for one in found["mutants"]:
        rates = found["operators"][one["operator"]]["told_rate"]
        assert rates == {name: one["told_by"][name] / n for name, n in found["tests"].items()}
    assert found["operators"]["all"]["mutants"] == len(OPERATORS) - 1


def test_a_dropped_class_is_forgotten(original, train):
    dropped = OPERATORS["dropped_class"](original, with_copies(train, 8), 1)
    sut = TorchSUT(dropped, "", torch.device("cpu"), {})
    assert accuracy(sut, of_class(train, 1)) < 0.5
    assert accuracy(sut, of_class(train, 0)) > 0.9


def with_copies(data, n):
    return type(data)(data.images.repeat(n, 1, 1, 1), data.labels.repeat(n))


def of_class(data, label):
    chosen = data.labels == label
    return type(data)(data.images[chosen], data.labels[chosen])


@pytest.mark.parametrize("name", ["pruned", "fuzzed"])
def test_changed_weights_cost_what_they_may(name, original, train):
    before = {key: value.clone() for key, value in original.finetuning.network.state_dict().items()}
    first, again, other = (OPERATORS[name](original, train, number) for number in (0, 0, 1))
    assert original.accuracy - LOSS <= original.accuracy_of(first)
    states = [network.state_dict() for network in (first, again, other, original.finetuning.network)]
    same = [all(torch.equal(states[0][key], state[key]) for key in before) for state in states]
    assert same == [True, True, False, False]
    assert all(torch.equal(before[key], states[-1][key]) for key in before)


def test_the_chance_that_drawn_tests_tell_a_mutant():
    assert mutants.chance_told(3, 10, 1) == pytest.approx(0.3)
    assert mutants.chance_told(3, 10, 4) == pytest.approx(1 - comb(7, 4) / comb(10, 4))
    assert mutants.chance_told(0, 10, 5) == 0
    assert mutants.chance_told(1, 10, 50) == 1


def test_no_mutants_are_refused(tmp_path, capsys):
    assert mutants.main([str(tmp_path), "--each", "0"]) == 2
    assert "--each must be at least 1, got 0" in capsys.readouterr().err
