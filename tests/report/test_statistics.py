"""Each formula against a hand-computed value, a published example or scipy."""

import numpy as np
import pytest
from scipy import stats

from latreg.measures import metrics
from latreg.report import statistics
from tests.helpers.studies import noise


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (42, 495)])
def test_wilson_is_that_of_the_metrics(k, n):
    assert statistics.wilson(k, n) == pytest.approx(metrics.wilson(k, n), abs=1e-12)


def test_no_trials_have_no_interval():
    assert statistics.wilson(0, 0) is None
    assert statistics.newcombe(0, 0, 1, 2) is None


def test_newcombe_gives_the_published_example():
    assert statistics.newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)  # Newcombe 1998, table II


def test_the_bootstrap_agrees_with_scipy():
    values = np.random.default_rng(1).exponential(size=60)
    ours = statistics.median_interval(values)
    theirs = stats.bootstrap((values,), np.median, method="percentile", n_resamples=9999, rng=2).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.06)
    assert statistics.median_interval(values) == ours


def test_the_bootstrap_keeps_columns_paired():
    x = np.arange(50.0)
    assert statistics.bootstrap(lambda a, b: (a - b).mean(-1), x, x - 3) == (3, 3)


def test_one_value_has_no_interval():
    assert statistics.median_interval([1.0]) is None


def test_a_ratio_whose_resamples_have_no_fault_is_open_above():
    low, high = statistics.bootstrap(statistics.ratio, np.ones(20), np.eye(20)[0])
    assert 0 < low < 20
    assert high == np.inf


def test_percentiles_leave_out_what_is_not_defined():
    assert statistics.percentiles(np.array([np.nan, 1.0, 1.0])) == (1, 1)
    assert statistics.percentiles(np.array([np.nan])) is None


def test_mcnemar_counts_only_pairs_that_differ():
    first, second = np.repeat([1, 0, 1], [6, 1, 50]), np.repeat([0, 1, 1], [6, 1, 50])
    assert statistics.mcnemar(first, second) == pytest.approx(2 * (1 + 7) / 2**7)  # 1 of 7 or fewer, twice
    assert statistics.mcnemar(first, first) == 1


def test_wilcoxon_is_that_of_scipy():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=30), rng.normal(0.5, size=30)
    assert statistics.wilcoxon(a, b) == stats.wilcoxon(a, b).pvalue
    assert statistics.wilcoxon(a, a) == 1


def test_mann_whitney_of_two_separate_groups():
    assert statistics.mann_whitney([1, 2, 3], [4, 5, 6]) == pytest.approx(0.1)  # 2 of the 20 orders
    assert statistics.mann_whitney([], [1]) is None


def test_fisher_of_the_lady_who_tastes_tea():
    assert statistics.fisher(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert statistics.fisher(0, 0, 1, 4) is None


def test_a12_counts_ties_half():
    assert statistics.a12([1, 2, 3], [2, 2]) == pytest.approx((0 + 1 + 2) / 6)
    assert statistics.cliffs_delta([1, 2, 3], [2, 2]) == pytest.approx(0)
    assert statistics.cliffs_delta([5, 6], [1]) == 1
    assert statistics.a12([], [1]) is None


def test_a12_of_yes_and_no_is_half_the_difference_of_the_rates():
    assert statistics.a12([1, 1, 0, 0], [1, 0, 0, 0]) == pytest.approx(0.5 + 0.25 / 2)


def test_holm_by_hand():
    assert statistics.holm([0.01, 0.04, None, 0.03, 0.9]) == [0.04, 0.09, None, 0.09, 0.9]
    assert statistics.holm([0.8, 0.7]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_pixel_distances_and_their_mean_are_those_of_the_metrics():
    images = noise(0, 7)
    distances = statistics.pixel_distances(images)
    assert distances.diagonal().tolist() == [0] * 7
    assert distances[2, 5] == pytest.approx(np.sqrt(np.mean((images[2] / 255 - images[5] / 255) ** 2)))
    assert statistics.mean_distance(distances)[0] == pytest.approx(metrics.diversity(list(images)))


def test_copies_in_a_resample_are_no_pairs():
    distances = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]], dtype=float)
    assert statistics.mean_distance(distances).tolist() == [2]
    assert statistics.mean_distance(distances, [[2, 1, 0]]).tolist() == [1]
    assert np.isnan(statistics.mean_distance(distances, [[3, 0, 0]])).all()


def test_a_set_that_is_more_diverse_is_found_so():
    images = np.concatenate([noise(0, 20), noise(1, 20) // 4])
    found = statistics.compare_diversity(statistics.pixel_distances(images), 20)
    assert found.first > found.second
    assert 0 < found.low < found.first - found.second < found.high
    assert found.p == pytest.approx(1 / (statistics.RESAMPLES + 1))


def test_two_sets_alike_do_not_differ():
    found = statistics.compare_diversity(statistics.pixel_distances(noise(0, 30)), 15)
    assert found.low < 0 < found.high
    assert found.p > 0.05
    assert statistics.compare_diversity(statistics.pixel_distances(noise(0, 5)), 1) is None
