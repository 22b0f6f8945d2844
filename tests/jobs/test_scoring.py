"""The numbers of metrics.json that come from the images: how different the judge finds the valid faults."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from latreg.classifier.networks import build
from latreg.classifier.sut import TorchSUT
from latreg.interfaces import CHOSEN_FROM
from latreg.jobs import scoring
from latreg.jobs.scoring import JUDGED, fault_space
from latreg.validity.judge import Judge
from tests.helpers.example_records import MEASURED, image, pair, record
from tests.helpers.settings import config

NOT_MEASURED = dict.fromkeys(JUDGED)


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    network = build("resnet", 1, 10, {"widths": [4, 8]})
    return Judge([TorchSUT(network, "j", torch.device("cpu"), {})])


@pytest.fixture
def cfg():
    return config("dataset=mnist")


def faults(n, **values):
    return [pair(first_image=image(i), z_seed=i, **values) for i in range(n)]


def score(cfg, found, judge, seconds=None):
    return scoring.score(cfg, found, MEASURED, judge, seconds)


def judged(results):
    return {name: results[name] for name in JUDGED}


def test_valid_faults_are_compared_in_all_and_by_stratum(cfg, judge):
    found = [
        *faults(4, stratum="confident"),
        *faults(3, stratum="uncertain"),
        record(z_seed=8),
        pair(valid_fault=False, z_seed=9),
    ]
    results = score(cfg, found, judge, seconds=2.0)
    assert (results["sources"], results["seconds"]) == (9, 2.0)
    space = fault_space(cfg, judge)
    for part, own in (
        (results, found[:7]),
        (results["strata"]["confident"], found[:4]),
        (results["strata"]["uncertain"], found[4:7]),
    ):
        expected = space.measure([r.first_image for r in own])
        assert part["judge_distance"] == pytest.approx(expected.judge_distance)
        assert part["judge_distance_ci95"] == pytest.approx(expected.judge_distance_ci95)
        counts = (part["cells_reached"], part["cells"], part["groups"])
        assert counts == (expected.cells_reached, 50, expected.groups)


def test_chosen_sources_are_a_stratum_of_their_own(cfg, judge):
    chosen = [replace(r, z_seed=r.z_seed + CHOSEN_FROM) for r in faults(5)]
    results = score(cfg, [*faults(3), *chosen], judge)
    assert judged(results) == judged(score(cfg, faults(3), judge))
    alone = score(cfg, faults(5), judge)
    assert results["strata"]["chosen"]["judge_distance"] == pytest.approx(alone["judge_distance"])


def test_nothing_found_reaches_nothing(cfg, judge):
    results = score(cfg, [record(z_seed=0)], judge)
    nothing = {**NOT_MEASURED, "faults_compared": 0, "cells_reached": 0, "cells": 50, "groups": 0}
    assert judged(results) == judged(results["strata"]["confident"]) == nothing


def test_a_fault_whose_image_was_not_kept_is_left_out(cfg, judge):
    bare = pair(first_image=None, z_seed=99)
    assert judged(score(cfg, [bare, *faults(3)], judge)) == judged(score(cfg, faults(3), judge))


def test_without_shipped_real_images_the_distance_is_still_measured(judge):
    results = score(config("dataset=mnist", "dataset.name=own"), faults(3), judge)
    assert (results["cells_reached"], results["cells"]) == (None, None)
    assert results["judge_distance"] > 0
    assert results["groups"] is None


def test_images_of_a_data_set_are_not_those_of_the_users_own_of_that_name(judge):
    assert score(config("dataset=mnist", "dataset.path=."), faults(2), judge)["cells"] is None


def test_without_a_judge_nothing_is_measured(cfg):
    assert judged(score(cfg, faults(3), None)) == NOT_MEASURED


def test_a_judge_of_other_networks_is_not_looked_into(cfg):
    class Own:
        id, num_classes = "o", 10

    assert judged(score(cfg, faults(3), Judge([Own()]))) == NOT_MEASURED


def test_of_very_many_faults_some_at_equal_distances_are_compared(cfg, judge, monkeypatch):
    found = faults(7)
    monkeypatch.setattr(scoring, "MAX_FAULTS", 3)
    assert judged(score(cfg, found, judge)) == judged(score(cfg, [found[i] for i in (0, 2, 4)], judge))


def test_a_stratum_that_fits_is_compared_whole_however_many_faults_the_others_have(cfg, judge, monkeypatch):
    rare = [replace(r, z_seed=r.z_seed + 50) for r in faults(3, stratum="uncertain")]
    chosen = [replace(r, z_seed=r.z_seed + CHOSEN_FROM) for r in faults(2)]
    monkeypatch.setattr(scoring, "MAX_FAULTS", 4)
    results = score(cfg, [*faults(12, stratum="confident"), *rare, *chosen], judge)
    assert judged(results["strata"]["uncertain"]) == judged(score(cfg, rare, judge))
    assert judged(results["strata"]["chosen"]) == judged(score(cfg, faults(2), judge))
    compared = {name: part["faults_compared"] for name, part in results["strata"].items()}
    assert (results["faults_compared"], compared) == (4, {"confident": 4, "uncertain": 3, "chosen": 2})


def test_the_numbers_are_the_same_each_time(cfg, judge):
    assert score(cfg, faults(6), judge) == score(cfg, faults(6), judge)


def test_colour_images_are_compared_too():
    torch.manual_seed(0)
    judge = Judge([TorchSUT(build("resnet", 3, 10, {"widths": [4, 8]}), "j", torch.device("cpu"), {})])
    found = [pair(channels=3, first_image=image(i, 3), z_seed=i) for i in range(4)]
    results = score(config("dataset=cifar10"), found, judge)
    assert np.isfinite(results["judge_distance"])


def test_lpips_that_is_not_on_this_machine_is_left_out(cfg, judge, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "lpips", None)
    cfg.validity.lpips = "alex"
    results = score(cfg, faults(3), judge)
    assert (results["lpips"], results["judge_distance"] > 0) == (None, True)
    assert "LPIPS between faults is not measured: validity.lpips=alex needs lpips and torchvision" in caplog.text
