"""Moves of equal length towards the means, and in a random direction."""

import json
from pathlib import Path

import pytest

from latreg.evaluation import drift


def test_it_is_the_direction_and_not_the_length_that_leads_to_another_class(cli, monkeypatch):
    monkeypatch.setattr(drift, "SHARES", (0.0, 0.8))
    settings = ("stage=measure_drift", "name=drift", "evaluation.samples=40", "validity.judge=[zoo:mnist_judge_a]")
    code, out, err = cli(*settings)
    assert code == 0, err
    still, moved = json.loads((Path(out.splitlines()[-1]) / "drift.json").read_text())["rows"]
    assert still["kept_global"] == still["kept_class"] == still["kept_random"] >= 0.9  # the same images
    assert moved["kept_class"] >= moved["kept_random"] > moved["kept_global"]
    low, high = moved["class_minus_global_ci95"]
    assert moved["class_minus_global"] == pytest.approx(moved["kept_class"] - moved["kept_global"])
    assert 0 < low < moved["class_minus_global"] < high
