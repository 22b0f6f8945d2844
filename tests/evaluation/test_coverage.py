"""The share of cells that equally many faults reach, against counting all draws."""

from itertools import combinations

import numpy as np
import pytest

from latreg.evaluation.coverage import coverage


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_coverage_is_the_mean_over_all_draws(n):
    reached = np.array([0, 0, 0, 2, 2, 4])
    counted = np.mean([len({*draw}) for draw in combinations(reached, n)]) / 5
    assert coverage(reached, 5, n) == pytest.approx(counted)


def test_more_faults_of_the_same_kinds_cover_no_more():
    few = np.arange(20) % 4
    assert coverage(np.tile(few, 50), 50) == pytest.approx(4 / 50, rel=0.1)
    assert coverage(few, 50) < coverage(np.arange(20), 50) == pytest.approx(10 / 50)


def test_too_few_faults_are_not_compared():
    assert coverage(np.arange(9), 50) is None
    assert coverage(np.zeros(0, dtype=int), 50) is None
