"""Queries until a first fault, counted by hand."""

import json
from dataclasses import replace
from itertools import permutations
from math import inf, isnan, nan

import numpy as np
import pytest

from latreg.interfaces import ReportedPair
from latreg.measures.metrics import summarize
from latreg.measures.tables import shown
from latreg.measures.waiting import first_faults, found_within, median_wait, search_wait
from tests.helpers.example_records import FLAGS, pair, record


def reported(queries, valid=True, margin=-0.01, walked=None, walk_queries=0, kept=False):
    return ReportedPair(
        label=1, z_seed=0, number=0, kept=kept, queries=queries, walk_queries=walk_queries, valid=valid, predicted=2,
        partner_z_seed=None, rival=None, layers=None, psi_last=1.0, psi_first=1.0, alpha_last=None, alpha_first=None,
        bracket=0.1, last_margin=0.1, first_margin=margin, severe_psi=None, severe_alpha=None, severe_margin=walked,
    )  # fmt: skip


def test_the_first_fault_of_a_source_is_the_earliest_of_its_kind():
    pairs = [reported(5, valid=False, margin=-0.9), reported(9), reported(20, walked=-0.3, walk_queries=4)]
    assert first_faults(pairs, True, True) == (9, 24)
    assert first_faults(pairs[:2], True, False) == (9, inf)
    assert first_faults(pairs[:1], False, False) == (inf, inf)
    assert first_faults([reported(9, kept=True, walk_queries=2)], True, True) == (9, 11)  # it is stable


def test_what_was_not_written_down_is_not_known():
    assert all(isnan(time) for time in first_faults([], True, True))
    assert first_faults([reported(9)], True, None) == (9, pytest.approx(nan, nan_ok=True))
    assert first_faults([], False, None) == (inf, inf)


def test_a_median_without_censoring_is_that_of_the_times():
    times = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    assert median_wait(times, times + 10, np.zeros(5, dtype=bool))[0] == 3


def test_a_median_by_hand():
    """Kaplan and Meier: 7/8, then 6/8, one is cut short, then 6/8 * 4/5 = 0.6, and 0.45."""
    first = np.array([1, 2, inf, 4, 5, inf, inf, inf])
    queries = np.array([9, 9, 3, 9, 9, 9, 9, 9.0])
    assert median_wait(first, queries, np.ones(8, dtype=bool))[0] == 5
    assert median_wait(first, queries, first > 5)[0] == 5


@pytest.mark.parametrize("n", [24, 38, 104])
def test_half_of_the_sources_are_half_whatever_is_rounded(n):
    """The curve is a product of fractions, which ends a last bit above a half."""
    first = np.concatenate([np.arange(1.0, n // 2 + 1), np.full(n // 2, inf)])
    assert median_wait(first, np.full(n, 1000.0), np.zeros(n, dtype=bool))[0] == n // 2


def test_sources_that_were_given_up_have_no_fault_however_long_one_waits():
    first, queries = np.array([2, 3, inf, inf, inf]), np.array([2, 3, 1, 1, 1.0])
    assert median_wait(first, queries, np.zeros(5, dtype=bool)) == (None, None)
    assert median_wait(first, queries, np.isinf(first))[0] == 2  # their budget was spent: nobody knows


def test_a_search_waits_as_the_mean_over_all_orders_says():
    first, queries = np.array([3, inf, 5, inf, inf]), np.array([7, 10, 20, 30, 1.0])
    waits = []
    for order in permutations(range(5)):
        before = next(i for i in order if np.isfinite(first[i]))
        waits.append(sum(queries[i] for i in order[: order.index(before)]) + first[before])
    value, (low, high) = search_wait(first, queries)
    assert value == pytest.approx(np.mean(waits))
    assert low < value < (high or inf)


def test_sources_with_a_fault_within_a_cap():
    first, queries, none_cut = np.array([60, 61, inf]), np.array([90, 90, 60.0]), np.zeros(3, dtype=bool)
    assert [found_within(cap, first, queries, none_cut) for cap in (60, 200)] == [1, 2]
    assert [found_within(cap, first, queries, ~none_cut) for cap in (60, 200)] == [1, None]
    assert found_within(60, np.array([nan, 1]), np.ones(2), none_cut[:2]) is None


def test_the_numbers_of_a_run():
    late = replace(pair(queries=30), pairs=[reported(12, kept=True, walked=-0.4, walk_queries=3)])
    none = record(queries=8, stopped_by_budget=True)
    found = summarize([late, none], FLAGS)
    assert (found["queries_to_first_valid"], found["queries_to_first_robust"]) == (16, 19)
    assert (found["queries_to_valid_median"], found["queries_to_robust_median"]) == (12, 15)
    assert found["robust_within_60"] is None  # the other source was cut short after 8
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert summarize([pair(), none], FLAGS)["queries_to_first_valid"] is None  # an older run
    assert shown("wait", {"wait": 16.0, "wait_ci95": [12.0, None]}) == "16 (12 to inf)"
