"""Statistics of comparisons, pure functions of numbers. Tests come from scipy.

Every function takes plain arrays and says in its docstring what it returns where there is nothing to compute.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import spatial, stats

CONFIDENCE = 0.95
RESAMPLES = 1000
PERMUTATIONS = 99_999
BOOTSTRAP_SEED = 0
ALPHA = 0.05  # of a corrected p that counts as significant

Interval = tuple[float, float]
Floats = NDArray[np.float64]
Sums = tuple[ArrayLike, ArrayLike]  # numerators and denominators (n,), to be summed


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


@dataclass(frozen=True)
class Contrast:
    """What two sides have, the effect with its interval, and p."""

    first: float
    second: float
    effect: float
    low: float | None  # None = not defined
    high: float | None
    p: float | None


def contrast(first: Sums, second: Sums, clusters: ArrayLike, *, as_ratio: bool = False) -> Contrast | None:
    """Compare two ratios of sums (rates, shares, costs, means) over the same sources, which come in clusters.

    The interval is from resampling whole clusters. p is from flipping at random the sign of what each cluster adds to
    the difference, of ratios by their linear part where both are equal (a score test, Kline and Santos 2012; exact
    for differences of rates per source).

    Args:
        first, second: numerators and denominators (n,) of each side.
        clusters: (n,) integers, which sources are not independent of each other.
        as_ratio: the effect is first over second, else first minus second.

    Returns: None where a side's denominators add up to 0, there are fewer than two clusters, or a ratio has a side of
        0.
    """
    number, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.array([np.bincount(index, column, len(number)) for side in (first, second) for column in side])
    n1, d1, n2, d2 = sums.sum(1)
    if len(number) < 2 or not (d1 and d2) or (as_ratio and not (n1 and n2)):
        return None
    effect = np.divide if as_ratio else np.subtract
    with np.errstate(divide="ignore", invalid="ignore"):
        resampled = _resamples(len(number)) @ sums.T
        spread = effect(resampled[:, 0] / resampled[:, 1], resampled[:, 2] / resampled[:, 3])
    low, high = percentiles(spread) or (None, None)
    common = (n1 + n2) / (d1 + d2)
    parts = (sums[0] - common * sums[1]) / d1 - (sums[2] - common * sums[3]) / d2
    return Contrast(n1 / d1, n2 / d2, float(effect(n1 / d1, n2 / d2)), low, high, sign_flips(parts))


def clustered_ratio(numerators: ArrayLike, denominators: ArrayLike, clusters: ArrayLike) -> Interval | None:
    """Interval of a ratio of sums (n,) from resampling whole clusters (n,); None for fewer than two."""
    number, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = [np.bincount(index, np.asarray(column, dtype=float), len(number)) for column in (numerators, denominators)]
    return bootstrap(ratio, *sums)


def sign_flips(parts: Floats) -> float:
    """Two-sided p that independent, symmetric parts (n,) add up to something as far from 0 by chance."""
    patterns = _patterns(-(-len(parts) // 8), PERMUTATIONS)
    eights = np.append(parts, np.zeros(-len(parts) % 8)).reshape(-1, 8)
    sums = sum(table[pattern] for table, pattern in zip(eights @ _SIGNS, patterns, strict=True))
    extreme = int((np.abs(sums) >= abs(float(parts.sum())) - 1e-12).sum())
    return (extreme + 1) / (PERMUTATIONS + 1)


_SIGNS = 1 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[None], axis=0)  # (8, 256): all signs of eight parts


@lru_cache(maxsize=4)
def _patterns(n: int, times: int) -> NDArray[np.uint8]:
    """(n, times): which of all signs each eight parts get, the same ones for every test of as many."""
    return np.random.default_rng([BOOTSTRAP_SEED, n]).integers(256, size=(n, times), dtype=np.uint8)


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


def distances(vectors: Floats) -> Floats:
    """(n, D) => (n, n), Euclidean."""
    found: Floats = spatial.distance.squareform(spatial.distance.pdist(vectors))
    return found


def vendi_score(vectors: Floats) -> float:
    """The effective number of different vectors (n, D), 1 to n, by their cosines (Friedman and Dieng 2023)."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    eigenvalues = np.linalg.eigvalsh(unit @ unit.T / len(unit)).clip(1e-12)
    return float(np.exp(-(eigenvalues * np.log(eigenvalues)).sum()))


def compare_diversity(groups: Sequence[Floats]) -> Contrast:
    """Compare mean distances within the first and the second half of groups, averaged over the groups.

    Args:
        groups: distances (2n, 2n) of each group, n >= 2; the first n are of one side, the rest of the other.

    Returns: the interval is from resampling the members of each half, p from permuting them within groups. There is no
        interval where a half has two members: both differ in a resample only if it is the sample itself.
    """
    sides = np.array([[mean_distance(half)[0] for half in _blocks(own)] for own in groups])  # (groups, 2)
    resampled = sum(_resampled_difference(own, number) for number, own in enumerate(groups)) / len(groups)
    effect = float((sides[:, 0] - sides[:, 1]).mean())
    chance = sum(_permuted_difference(own, number) for number, own in enumerate(groups)) / len(groups)
    p = (int((np.abs(chance) >= abs(effect) - 1e-12).sum()) + 1) / (PERMUTATIONS + 1)
    vary = min(map(len, groups)) > 4
    low, high = (percentiles(np.asarray(resampled)) if vary else None) or (None, None)
    first, second = sides.mean(0)
    return Contrast(float(first), float(second), effect, low, high, p)


def _resampled_difference(own: Floats, number: int) -> Floats:
    n, rng = len(own) // 2, np.random.default_rng([BOOTSTRAP_SEED, number])
    first, second = (mean_distance(half, rng.multinomial(n, np.full(n, 1 / n), RESAMPLES)) for half in _blocks(own))
    return first - second


def _blocks(own: Floats) -> tuple[Floats, Floats]:
    n = len(own) // 2
    return own[:n, :n], own[n:, n:]


def _permuted_difference(own: Floats, number: int) -> Floats:
    member = np.zeros((PERMUTATIONS, len(own)), dtype=bool)
    member[:, : len(own) // 2] = True
    member = np.random.default_rng([BOOTSTRAP_SEED, number]).permuted(member, axis=1)
    return mean_distance(own, member) - mean_distance(own, ~member)


def _counts(index: NDArray[np.intp]) -> Floats:
    """(R, n) indices drawn from n => (R, n), how often each was drawn."""
    resamples, n = index.shape
    flat = (index + np.arange(resamples)[:, None] * n).ravel()
    return np.bincount(flat, minlength=resamples * n).reshape(resamples, n).astype(float)


@lru_cache(maxsize=2)
def _resamples(n: int) -> Floats:
    """(RESAMPLES, n), how often each of n clusters is in each resample."""
    return _counts(_resampled(n))
