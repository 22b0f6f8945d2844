import logging
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from latreg.jobs import progress
from latreg.jobs.progress import SearchProgress, expected, in_words, rounded
from latreg.jobs.remaining import Range
from latreg.search.engine import Limits
from tests.helpers.example_records import pair, record


def engine(queries=0, ended=(), limit=1000):
    return SimpleNamespace(
        queries=queries, ended=list(ended), live=[], limits=Limits(max_queries_per_source=limit), on_round=None
    )


def test_without_a_terminal_there_is_a_line_now_and_then(caplog, monkeypatch):
    clock = iter([0.0, 30.0, 61.0, 90.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO)
    with SearchProgress(5, 1, engine()) as shown:
        shown.advance(record(queries=5))
        shown.advance(pair(z_seed=1, queries=117))
        shown.advance(record(z_seed=2, queries=1))
    assert [one.getMessage() for one in caplog.records] == [
        "3 of 5 sources, 1 flips, 1 valid, 1 robust, 61 s left, 2 queries/s"
    ]


def test_queries_before_the_search_say_nothing_of_its_speed_nor_of_the_time_left(monkeypatch):
    """Those that chose its sources took no time of it; those of an interrupted run have left less of the budget."""
    clock = iter([0.0, 10.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    found = engine(queries=5000)
    found.limits = Limits(max_queries=200, max_queries_per_source=1000)
    shown = SearchProgress(14, 4, found, spent=60)
    found.queries, found.ended = 5100, [20] * 5
    shown._refresh()
    assert shown._progress.tasks[0].fields["found"] == "0 flips, 0 valid, 0 robust, 4 s left, 10 queries/s"


@pytest.mark.parametrize("sources", [2000, 10_000])
def test_the_line_at_a_terminal_fits_80_columns(monkeypatch, sources):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    console = Console(width=80, force_terminal=True, record=True)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    with SearchProgress(sources, 0, found := engine(ended=[500] * (sources - 1))) as shown:
        found.queries = 999_999
        shown._flipped, shown._faults, shown._robust = sources - 1, sources // 2, sources // 3
        shown._started -= 1000
        shown._refresh()
        table = shown._progress.make_tasks_table(shown._progress.tasks)
    with console.capture() as capture:
        console.print(table)
    (text,) = capture.get().strip().splitlines()
    assert f"{sources - 1}/{sources} sources" in text
    assert "s left" in text


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (5401, "2 h"), (200_000, "2 days")]
)
def test_seconds_are_rounded(seconds, words):
    assert rounded(seconds) == words


def test_before_the_time_left_is_known_the_most_that_it_can_be_is_told():
    assert in_words(Range(10, 40), seconds=2.0) == "40 s"
    assert in_words(Range(10, 50.1), seconds=2.0) == "< 2 min"
    assert in_words(Range(0, 30), seconds=2.0) == "< 60 s"


@pytest.mark.parametrize(("limit", "told"), [(60, True), (100_000, False)])
def test_a_bound_far_beyond_what_was_searched_is_not_told(limit, told):
    with SearchProgress(10, 0, found := engine(limit=limit)) as shown:
        found.queries, found.live = 50, [5] * 10
        shown._refresh()
        assert ("< " in shown._progress.tasks[0].fields["found"]) is told


def test_the_time_left_is_told_once_it_is_known_within_a_factor():
    assert expected(Range(10, 40)) == 20
    assert expected(Range(10, 41)) is None
    assert expected(Range(0, 0)) == 0


def test_in_a_long_search_the_time_left_is_right_within_a_factor_of_two(monkeypatch):
    """Some sources are rejected at once, some flip early, the others take all queries that they may."""
    rng = np.random.default_rng(0)
    lengths = rng.choice([1, 12, 20, 60], size=600, p=[0.3, 0.1, 0.2, 0.4])
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    found = engine(limit=60)
    shown = SearchProgress(len(lengths), 0, found)
    told = []
    for live in lockstep(lengths, found):
        now[0] += live
        known = expected(shown._queries_left(found.queries))
        told.append((now[0], None if known is None else known * now[0] / found.queries))
    told = [(time, left) for time, left in told if time < 0.98 * now[0]]
    known = [(time, left) for time, left in told if left is not None]
    assert len(known) > 0.8 * len(told)
    assert all(0.5 <= left / (now[0] - time) <= 2 for time, left in known)


def lockstep(lengths, found, side_by_side=200):
    """What an engine does with searches of such lengths: in each round all that are under way ask once => how many."""
    waiting, ages = deque(lengths), []
    while waiting or ages:
        while waiting and len(ages) < side_by_side:
            ages.append([0, waiting.popleft()])
        for search in ages:
            search[0] += 1
        found.queries += len(ages)
        asked = len(ages)
        found.ended += [age for age, length in ages if age == length]
        ages = [search for search in ages if search[0] < search[1]]
        found.live = [age for age, _ in ages]
        yield asked
