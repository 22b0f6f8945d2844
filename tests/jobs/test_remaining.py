"""What is left of a search, against numbers by hand."""

import pytest

from latreg.jobs.remaining import Range, queries_left


def test_sources_that_all_take_the_same():
    assert queries_left([10] * 5, [], 3, limit=1000) == Range(30, 30)


def test_without_any_end_nothing_is_known_but_the_limit():
    assert queries_left([], [4, 4], 1, limit=10) == Range(2 * 1 + 5, 2 * 6 + 10)


def test_those_under_way_are_not_taken_for_short_ones():
    """Half of the sources end after one query; the others may end with the next, or go on to the fifth."""
    assert queries_left([1], [1], 0, limit=5) == Range(1, 4)
    # A source that waits takes one query, and with 1/2 one to four more.
    assert queries_left([1], [1], 1, limit=5) == Range(1 + 1.5, 4 + 3)


def test_a_survival_function_with_censored_ones():
    # Of four at risk one ends at 2; of the two that are seen longer one ends at 4: S = 1 1 3/4 3/4 3/8.
    left = queries_left([2, 4], [2, 4], 0, limit=5)
    assert left == Range(pytest.approx(1 + 1 + 0.5 + 1), pytest.approx(1 + 1 + 0.5 + 1))
