"""Saved faults are shown to another classifier; the exit code is that of a regression test."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from latreg import retest
from latreg.data.images import load_probe
from latreg.runs.records import write_part
from latreg.zoo.weights import probe_path, resolve, sha256
from tests.helpers.example_records import MEASURED, pair, record
from tests.helpers.settings import saved

SUT = ("classifier=cnn", "device=cpu")
CALLABLE = ("classifier=callable", "classifier.function=tests.test_retest.eights", "classifier.probe_images=0")


def eights(images):
    """Says 8, whatever it sees."""
    return np.tile(np.eye(10)[8], (len(images), 1))


def logits(images):
    return eights(images) * 7


@pytest.fixture
def run(tmp_path):
    """Faults that are real test images: of class c, as if a search had found them; the sources are the same images."""
    probe = load_probe(probe_path("mnist"), 32)
    rows = []
    for number in range(40):
        digit, label = probe.images[number].numpy(), int(probe.labels[number])
        wrong = number % 4 == 0  # an image of another class: every good classifier fails
        made_for = (label + 1) % 10 if wrong else label
        fault = pair(label=made_for, z_seed=number, predicted=label if wrong else (label + 1) % 10)
        rows.append(fault_with(fault, digit, valid=number < 20))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(saved("+experiment=mnist_mixing"))
    write_part(folder, 0, [*rows, record(z_seed=99)], MEASURED)
    return folder


def fault_with(fault, digit, valid):
    return replace(fault, first_image=digit, source_image=digit, valid_fault=valid, robust_fault=valid)


def run_retest(*arguments):
    return retest.main([str(argument) for argument in arguments])


def test_failures_are_counted_in_all_and_by_class(run):
    found = retest.retest(run, SUT)
    assert found["sut_id"] == sha256(resolve("zoo:mnist_sut", "classifier"))
    numbers = {name: found[name] for name in ("faults", "failures", "same_wrong_answer", "sources_right")}
    assert numbers == {"faults": 20, "failures": 5, "same_wrong_answer": 5, "sources_right": 15}
    assert found["failure_rate"] == 0.25
    low, high = found["failure_rate_ci95"]
    assert low == pytest.approx(0.1119, abs=1e-4)
    assert high == pytest.approx(0.4687, abs=1e-4)
    assert sum(one["faults"] for one in found["classes"].values()) == 20
    assert sum(one["failures"] for one in found["classes"].values()) == 5
    assert retest.retest(run, SUT, kind="flipped")["faults"] == 40


def test_the_exit_code_tells_whether_too_many_fail(run, tmp_path, capfd):
    assert run_retest(run, *SUT) == 0
    out = capfd.readouterr().out.splitlines()
    assert out[0].split() == [
        "class", "faults", "failures", "failure_rate", "failure_rate_ci95", "same_wrong_answer", "sources_right"
    ]  # fmt: skip
    assert out[-1].split() == ["all", "20", "5", "0.25", "0.1119", "..", "0.4687", "5", "15"]
    assert run_retest(run, *SUT, "--max-failure-rate", "0.25") == 0
    assert run_retest(run, "--max-failure-rate", "0.24", *SUT, "-o", tmp_path / "out.json") == 1
    assert "the failure rate 0.2500 is above --max-failure-rate 0.24" in capfd.readouterr().err
    assert json.loads((tmp_path / "out.json").read_text())["failures"] == 5


def test_any_classifier_will_do(run):
    found = retest.retest(run, CALLABLE)
    eight = found["classes"].pop("8")
    assert eight["failures"] == 0
    assert all(one["failure_rate"] == 1 for one in found["classes"].values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["device=cpu"], "expected the settings of a classifier"),
        (
            ["classifier=cnn", "search.workers=2"],
            "expected the settings of a classifier.*got classifier=cnn search.work",
        ),
        (["classifier=nothing"], r"classifier must be one of .*, got nothing"),
        (["classifier=cnn", "classifier.wait=2"], r"classifier\.wait is no setting: classifier has name, "),
        (
            ["classifier=cnn", "classifier.probe_images=many"],
            r"classifier\.probe_images must be a whole number, got 'many'",
        ),
        (["classifier=onnx"], "classifier.weights must name"),
        (["classifier=cnn", "classifier.weights=zoo:fashion_mnist_sut"], "at least 0.9.* was expected"),
        (["classifier=callable", "classifier.function=tests.test_retest.eights"], "right on 0.08.* at least 0.55"),
        (["classifier=callable", "classifier.function=tests.test_retest.logits"], "classifier.outputs=scores is right"),
        ([*SUT, "--max-failure-rate", "3"], "--max-failure-rate must be within 0 .. 1, got 3"),
    ],
)
def test_what_cannot_be_tested_is_one_sentence(settings, message, run, capfd):
    assert run_retest(run, *settings) == 2
    assert_matches(message, capfd.readouterr().err)


def assert_matches(pattern, text):
    assert re.search(pattern, text, re.DOTALL), text


def test_a_run_without_faults_is_refused(run, capfd):
    write_part(run, 0, [record()], MEASURED)
    assert run_retest(run, *SUT) == 2
    assert "expected robust faults in" in capfd.readouterr().err


def test_score_by_hand():
    found = retest.score(*(torch.tensor(t) for t in ([0, 1, 2, 3], [1, 2, 0, 0], [1, 1, 2, 0], [0, 1, 2, 0])))
    assert found["faults"] == 4
    assert found["failures"] == 2
    assert found["same_wrong_answer"] == 2
    assert found["sources_right"] == 3
