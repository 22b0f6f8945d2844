"""Each formula against a hand-computed value, a published example or scipy."""

import itertools

import numpy as np
import pytest
from scipy import stats

from latreg.measures import metrics, statistics
from latreg.report import diversity
from tests.helpers.studies import noise


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


def test_a_difference_of_rates_by_hand():
    first, second = np.repeat([1, 0], [30, 10]), np.repeat([1, 0], [10, 30])
    ones = np.ones(40)
    found = statistics.contrast((first, ones), (second, ones), np.arange(40))
    assert (found.first, found.second, found.effect) == (0.75, 0.25, 0.5)
    assert found.low < 0.5 < found.high
    exact = stats.binomtest(20, 20).pvalue  # 20 pairs differ, all one way: the sign test
    assert found.p == pytest.approx(exact, abs=2e-5)


def test_signs_are_those_of_all_patterns():
    parts = np.array([3.0, 1.0, -2.0, 4.0, 0.5])
    sums = np.array([parts @ signs for signs in itertools.product((-1, 1), repeat=5)])
    assert statistics.sign_flips(parts) == pytest.approx((np.abs(sums) >= 6.5).mean(), abs=0.01)


def test_sources_of_one_cluster_are_not_independent():
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.random(20) < 0.5, 10).astype(float)  # ten sources of each z_seed behave alike
    other, ones = (rng.random(200) < 0.5).astype(float), np.ones(200)
    apart = statistics.contrast((shared, ones), (other, ones), np.arange(200))
    together = statistics.contrast((shared, ones), (other, ones), np.repeat(np.arange(20), 10))
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    assert together.p > apart.p


def test_a_ratio_of_shares_with_other_denominators():
    faults, found = np.repeat([1.0, 0.0], [20, 80]), np.repeat([1.0, 0.0, 1.0, 0.0], [5, 15, 5, 75])
    queries, ones = np.full(100, 10.0), np.ones(100)
    contrast = statistics.contrast((ones, faults), (ones, found), np.arange(100), as_ratio=True)
    assert (contrast.first, contrast.second, contrast.effect) == (5, 10, 0.5)
    assert contrast.low < 0.5 < contrast.high < 1
    assert contrast.p < 0.05
    assert statistics.contrast((faults, queries), (faults, queries), np.arange(100)).p == 1


def test_nothing_to_divide_by_is_nothing_to_compare():
    ones, zeros, clusters = np.ones(4), np.zeros(4), np.arange(4)
    assert statistics.contrast((ones, zeros), (ones, ones), clusters) is None
    assert statistics.contrast((zeros, ones), (ones, ones), clusters, as_ratio=True) is None
    assert statistics.contrast((ones, ones), (ones, ones), zeros) is None


def test_the_test_keeps_its_level(monkeypatch):
    """Of studies without an effect, whose sides have other denominators, about one in twenty is significant."""
    monkeypatch.setattr(statistics, "PERMUTATIONS", 999)
    rng = np.random.default_rng(7)
    p_values = []
    for _ in range(100):
        flips = (rng.random(60) < 0.8).astype(float), (rng.random(60) < 0.4).astype(float)
        kept = [own * (rng.random(60) < 0.5) for own in flips]
        found = statistics.contrast((kept[0], flips[0]), (kept[1], flips[1]), np.arange(60) // 3)
        p_values.append(found.p)
    assert np.mean(np.array(p_values) < 0.05) <= 0.12


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


def test_distances_of_pixels_and_their_mean_are_those_of_the_metrics():
    images = noise(0, 7)
    distances = statistics.distances(diversity.pixels(images))
    assert distances.diagonal().tolist() == [0] * 7
    assert distances[2, 5] == pytest.approx(np.sqrt(np.mean((images[2] / 255 - images[5] / 255) ** 2)))
    assert statistics.mean_distance(distances)[0] == pytest.approx(metrics.diversity(list(images)))


def test_copies_in_a_resample_are_no_pairs():
    distances = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]], dtype=float)
    assert statistics.mean_distance(distances).tolist() == [2]
    assert statistics.mean_distance(distances, [[2, 1, 0]]).tolist() == [1]
    assert np.isnan(statistics.mean_distance(distances, [[3, 0, 0]])).all()


def test_a_set_that_is_more_diverse_is_found_so():
    groups = [np.concatenate([noise(seed, 9), noise(seed + 1, 9) // 4]) for seed in (0, 2)]
    found = statistics.compare_diversity([statistics.distances(diversity.pixels(images)) for images in groups])
    assert found.effect == pytest.approx(found.first - found.second)
    assert 0 < found.low < found.effect < found.high
    assert found.p < 0.001


def test_two_sets_alike_do_not_differ():
    found = statistics.compare_diversity([statistics.distances(diversity.pixels(noise(0, 20)))])
    assert found.low < 0 < found.high
    assert found.p > 0.05


def test_of_two_members_nothing_can_be_resampled():
    groups = [statistics.distances(diversity.pixels(noise(seed, n))) for seed, n in ((0, 20), (1, 4))]
    found = statistics.compare_diversity(groups)
    assert (found.low, found.high) == (None, None)
    assert found.p > 0.05


def test_the_vendi_score_counts_what_is_different():
    assert statistics.vendi_score(np.eye(5)) == pytest.approx(5)
    assert statistics.vendi_score(np.ones((5, 3))) == pytest.approx(1, abs=1e-6)
    assert statistics.vendi_score(np.repeat(np.eye(3), 4, axis=0)) == pytest.approx(3, abs=1e-6)
