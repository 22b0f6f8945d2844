"""Sources that are chosen because the SUT is not sure of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from latreg.config import CallableClassifierConfig, Config, SearchConfig
from latreg.interfaces import CHOSEN_FROM, Evaluation, Source
from latreg.jobs.sources import BATCH, LOOKS, choose_uncertain, chosen_sources, split_chosen
from latreg.search.criteria import BaselineGate
from tests.helpers.example_records import record


def oracle(second):
    """An SUT that gives its second class the probability second(source), and counts what it is asked."""
    asked = []

    def evaluate(requests):
        asked.extend(request.source for request in requests)
        answers = []
        for request in requests:
            p = np.zeros(3)
            p[request.source.label] = 1 - second(request.source)
            p[(request.source.label + 1) % 3] = second(request.source)
            answers.append(Evaluation(request.proposal, request.source.label, np.zeros((1, 1, 1), np.uint8), p))
        return answers

    return evaluate, asked


def every_fifth(source):
    return 0.3 if source.z_seed % 5 == 0 else 0.001


def test_the_first_uncertain_sources_of_each_class_take_turns():
    evaluate, asked = oracle(every_fifth)
    chosen = choose_uncertain(evaluate, BaselineGate(), [0, 2], 3, 7, 0.01)
    first = next(z for z in range(7 + CHOSEN_FROM, 7 + CHOSEN_FROM + 5) if z % 5 == 0)
    assert chosen == [Source(label, z) for z in (first, first + 5, first + 10) for label in (0, 2)]
    assert len(asked) == 2 * BATCH


def test_misclassified_sources_are_not_chosen():
    evaluate, _ = oracle(lambda source: 0.7 if source.z_seed % 2 else 0.2)
    chosen = choose_uncertain(evaluate, BaselineGate(), [1], 10, 0, 0.01)
    assert len(chosen) == 10
    assert all(source.z_seed % 2 == 0 for source in chosen)


def test_a_class_that_is_always_sure_ends_the_look_with_a_warning(caplog):
    evaluate, asked = oracle(lambda source: 0.3 if source.label else 0.0)
    chosen = choose_uncertain(evaluate, BaselineGate(), [0, 1], 1, 0, 0.01)
    assert [source.label for source in chosen] == [1]
    assert sum(source.label == 0 for source in asked) == pytest.approx(LOOKS, abs=BATCH)
    assert "class 0: only 0 of" in caplog.text


def test_a_long_look_says_how_far_it_is(caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr("latreg.jobs.progress.PAUSE", 0.0)
    choose_uncertain(oracle(every_fifth)[0], BaselineGate(), [1], 20, 0, 0.01)
    assert [line for line in caplog.messages if line.startswith("class 1: 12 of 20 uncertain")] == caplog.messages[1:2]


def parts(evaluate):
    networks = {"generator": SimpleNamespace(id="g", num_classes=3), "sut": SimpleNamespace(id="s")}
    return SimpleNamespace(**networks, engine=SimpleNamespace(evaluate=evaluate))


def test_the_same_classifier_with_other_settings_chooses_anew():
    """A sweep searches with one after the other in one process, and their weights have one id."""
    search = SearchConfig(uncertain_per_class=2, classes=[1])
    plain, scaled = (Config(search=search, classifier=CallableClassifierConfig(std=std)) for std in (None, [2.0]))
    first, asked = oracle(every_fifth)
    other, _ = oracle(lambda source: 0.3 if source.z_seed % 5 == 1 else 0.001)
    chosen = chosen_sources(plain, parts(first))
    assert [source.z_seed % 5 for source in chosen_sources(scaled, parts(other))] == [1, 1]
    before = len(asked)
    assert chosen_sources(plain, parts(first)) == chosen
    assert len(asked) == before > 0


def test_records_of_chosen_sources_are_told_apart():
    drawn, chosen = split_chosen([record(z_seed=5), record(z_seed=5 + CHOSEN_FROM)], 5)
    assert [r.z_seed for r in drawn] == [5]
    assert [r.z_seed for r in chosen] == [5 + CHOSEN_FROM]
