import logging
from types import SimpleNamespace

import pytest
from rich.console import Console

from latreg.jobs import progress
from latreg.jobs.progress import SearchProgress, in_words, seconds_left
from tests.helpers.example_records import pair, record


def engine(queries=0, finished=0):
    return SimpleNamespace(queries=queries, finished=finished, on_round=None)


def test_without_a_terminal_there_is_a_line_now_and_then(caplog, monkeypatch):
    clock = iter([0.0, 30.0, 61.0, 90.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO)
    with SearchProgress(5, 1, engine()) as shown:
        shown.advance(record(queries=5))
        shown.advance(pair(z_seed=1, queries=117))
        shown.advance(record(z_seed=2, queries=1))
    assert [one.getMessage() for one in caplog.records] == [
        "3 of 5 sources, 1 flips, 1 valid, 1 robust, 2 queries/s, 61 s left"
    ]


def test_the_line_at_a_terminal_fits_80_columns(monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    console = Console(width=80, force_terminal=True, record=True)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    with SearchProgress(2000, 0, engine(queries=999_999, finished=1999)) as shown:
        shown._flipped, shown._faults = 999, 998
        shown._started -= 1000
        shown._refresh()
        table = shown._progress.make_tasks_table(shown._progress.tasks)
    with console.capture() as capture:
        console.print(table)
    (text,) = capture.get().strip().splitlines()
    assert "1999/2000 sources" in text
    assert "left" in text


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (5401, "2 h"), (200_000, "2 days")]
)
def test_in_words(seconds, words):
    assert in_words(seconds) == words


def test_the_time_left_is_told_once_a_part_is_done():
    assert seconds_left(10, 0, 8) is None
    assert seconds_left(10, 1, 8) is None
    assert seconds_left(10, 2, 8) == 30
    assert seconds_left(10, 8, 8) == 0
