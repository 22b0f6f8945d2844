"""The statistics of the report, pure functions of numbers. Tests come from scipy.

Every function takes plain arrays and says in its docstring what it returns where there is nothing to compute.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 1000
BOOTSTRAP_SEED = 0
ALPHA = 0.05  # of a corrected p that counts as significant

Interval = tuple[float, float]
Floats = NDArray[np.float64]


def wilson(successes: int, n: int) -> Interval | None:
    """Wilson's score interval of a proportion; None for n = 0."""
    if n == 0:
        return None
    interval = stats.binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def newcombe(k1: int, n1: int, k2: int, n2: int) -> Interval | None:
    """Interval of the difference k1/n1 - k2/n2 of independent proportions (Newcombe 1998, method 10)."""
    first, second = wilson(k1, n1), wilson(k2, n2)
    if first is None or second is None:
        return None
    p1, p2 = k1 / n1, k2 / n2
    low = p1 - p2 - float(np.hypot(p1 - first[0], second[1] - p2))
    high = p1 - p2 + float(np.hypot(first[1] - p1, p2 - second[0]))
    return low, high


@lru_cache(maxsize=8)
def _resampled(n: int) -> NDArray[np.intp]:
    """Indices (RESAMPLES, n) drawn with replacement, the same ones for every statistic of n values."""
    return np.random.default_rng([BOOTSTRAP_SEED, n]).integers(n, size=(RESAMPLES, n))


def bootstrap(statistic: Callable[..., Any], *columns: ArrayLike) -> Interval | None:
    """Percentile bootstrap interval of a statistic of paired columns; None for fewer than two rows.

    Args:
        statistic: takes the columns, each (RESAMPLES, n), and returns (RESAMPLES,): it works along the last axis. A
            resample for which it is not defined is nan and left out; an infinite one is kept.
        columns: (n,) each.
    """
    arrays = [np.asarray(column) for column in columns]
    n = len(arrays[0])
    if n < 2:
        return None
    index = _resampled(n)
    return percentiles(np.asarray(statistic(*(array[index] for array in arrays)), dtype=float))


def percentiles(resampled: Floats) -> Interval | None:
    """The middle 95 % of resampled statistics, without those that are nan; None where all are."""
    defined = resampled[~np.isnan(resampled)]
    if not len(defined):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail], method="inverted_cdf")  # mixes no two values: inf stays inf
    return float(low), float(high)


def median_interval(values: ArrayLike) -> Interval | None:
    """Bootstrap interval of a median."""
    return bootstrap(lambda x: np.median(x, axis=-1), values)


def ratio(numerators: Any, denominators: Any) -> Any:
    """Sum over sum, along the last axis; inf where the denominators add up to 0 (nan where both do)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sum(numerators, axis=-1) / np.sum(denominators, axis=-1)


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """Exact two-sided p of McNemar's test: do paired yes/no outcomes differ? 1 where no pair does."""
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def wilcoxon(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p of the signed-rank test of paired numbers; pairs that are equal are left out, 1 where all are."""
    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    return float(stats.wilcoxon(differences).pvalue) if np.any(differences) else 1.0


def mann_whitney(first: ArrayLike, second: ArrayLike) -> float | None:
    """Two-sided p of the rank-sum test of independent numbers; None where a side is empty."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return float(stats.mannwhitneyu(a, b).pvalue) if len(a) and len(b) else None


def fisher(k1: int, n1: int, k2: int, n2: int) -> float | None:
    """Exact two-sided p that two independent proportions differ; None where a side is empty."""
    return float(stats.fisher_exact([[k1, n1 - k1], [k2, n2 - k2]]).pvalue) if n1 and n2 else None


def a12(first: ArrayLike, second: ArrayLike) -> float | None:
    """Vargha and Delaney's A12: the probability that one of the first is larger, ties half; None for empty sides.

    For yes/no outcomes this is 1/2 + (p1 - p2) / 2.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if not (len(a) and len(b)):
        return None
    ranks = stats.rankdata(np.concatenate([a, b]))[: len(a)]
    return float((ranks.sum() / len(a) - (len(a) + 1) / 2) / len(b))


def cliffs_delta(first: ArrayLike, second: ArrayLike) -> float | None:
    """Cliff's delta, P(first > second) - P(first < second) = 2 A12 - 1."""
    effect = a12(first, second)
    return None if effect is None else 2 * effect - 1


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction for testing them all; None stays None and does not count (Holm 1979)."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[i] = largest
    return corrected


def mean_distance(distances: Floats, members: ArrayLike | None = None) -> Floats:
    """Mean distance of two different members of a set; nan where it has fewer than two.

    Args:
        distances: (n, n), 0 on the diagonal.
        members: (R, n), how often each is in each of R sets; None = once, R = 1. Copies of one member are no pair, so
            a resample does not look less diverse than it is.

    Returns: (R,).
    """
    counts = np.ones((1, len(distances))) if members is None else np.asarray(members, dtype=float)
    pairs = counts.sum(1) ** 2 - (counts**2).sum(1)
    total: Floats = ((counts @ distances) * counts).sum(1)
    mean: Floats = np.divide(total, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)
    return mean


def pixel_distances(images: NDArray[np.uint8]) -> Floats:
    """(n, ..) uint8 => (n, n): root mean square difference of the pixels on [0, 1]."""
    pixels = images.reshape(len(images), -1).astype(float)  # sums of squares are integers below 2^53: nothing is lost
    squares = (pixels**2).sum(1)
    distances: Floats = np.sqrt(squares[:, None] + squares - 2 * pixels @ pixels.T)
    distances /= 255 * float(pixels.shape[1]) ** 0.5
    return distances


@dataclass(frozen=True)
class DiversityDifference:
    """How much more diverse one set is than another: means, their difference with its interval, p."""

    first: float
    second: float
    low: float
    high: float
    p: float


def compare_diversity(distances: Floats, n_first: int) -> DiversityDifference | None:
    """Compare the mean distance within the first n_first with that within the rest.

    The interval is from resampling both sets, p from a permutation of the membership. None where a set has fewer than
    two.
    """
    n_second = len(distances) - n_first
    if min(n_first, n_second) < 2:
        return None
    first, second = distances[:n_first, :n_first], distances[n_first:, n_first:]
    means = float(mean_distance(first)[0]), float(mean_distance(second)[0])
    resampled = [mean_distance(d, _counts(_resampled(len(d)))) for d in (first, second)]
    interval = percentiles(resampled[0] - resampled[1][_shuffled(RESAMPLES)])
    assert interval is not None
    member = np.zeros((RESAMPLES, len(distances)))
    member[:, :n_first] = 1
    member = np.random.default_rng(BOOTSTRAP_SEED).permuted(member, axis=1)
    chance = np.abs(mean_distance(distances, member) - mean_distance(distances, 1 - member))
    extreme = int((chance >= abs(means[0] - means[1]) - 1e-12).sum())
    return DiversityDifference(*means, *interval, (extreme + 1) / (RESAMPLES + 1))


def _counts(index: NDArray[np.intp]) -> Floats:
    """(R, n) indices drawn from n => (R, n), how often each was drawn."""
    resamples, n = index.shape
    flat = (index + np.arange(resamples)[:, None] * n).ravel()
    return np.bincount(flat, minlength=resamples * n).reshape(resamples, n).astype(float)


def _shuffled(n: int) -> NDArray[np.intp]:
    """An order for one of two series of resamples: of sets of one size both were drawn with the same indices."""
    return np.random.default_rng(BOOTSTRAP_SEED + 1).permutation(n)
