"""How many queries pass until a first fault is found: in a source, and in a whole search.

Times (n,) are queries of each source until its first fault; inf = it has none, nan = that is not known.
"""

import warnings
from collections.abc import Sequence
from math import inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latreg.interfaces import ROBUST_MARGIN, ReportedPair

Floats = NDArray[np.float64]
KINDS = ("valid", "robust")
CAPS = (60, 200, 1000)  # queries of a source, within which robust faults are counted
HALF = 0.5 + 1e-9  # to which a survival curve comes down: as a product of fractions it may end a last bit above 0.5
Found = tuple[float | None, tuple[float | None, float | None] | None]  # a number and the ends of its interval


def first_faults(pairs: Sequence[ReportedPair], valid: bool, robust: bool | None) -> tuple[float, float]:
    """Queries of a source until its first valid fault and until its first robust one, the walk to it included.

    Of pairs that are not the best of their source nobody knows whether they are stable, so these are robust by a wide
    margin only.

    Args:
        pairs: all that its search reported, () where that is not known.
        valid: its record has a valid fault.
        robust: .. and a robust one, None = it was not measured.
    """
    faults = [p for p in pairs if p.valid]
    firm = [p.queries + p.walk_queries for p in faults if _margin(p) <= -ROBUST_MARGIN or (p.kept and robust)]
    first_valid = min((p.queries for p in faults), default=nan if valid else inf)
    return first_valid, nan if valid and robust is None else min(firm, default=nan if robust else inf)


def _margin(pair: ReportedPair) -> float:
    return pair.first_margin if pair.severe_margin is None else pair.severe_margin


def waits(first: Floats, queries: Floats, cut_short: NDArray[np.bool_]) -> tuple[Found, Found]:
    """The median of a source, and the mean of a search: of each a value and its 95 % interval, None = not defined.

    Args:
        first: times.
        queries: of each source, in all.
        cut_short: its search ended with its budget. A source without a fault whose search ended by itself has none.
    """
    if np.isnan(first).any() or not np.isfinite(first).any():
        return (None, None), (None, None)
    return median_wait(first, queries, cut_short), search_wait(first, queries)


def found_within(cap: int, first: Floats, queries: Floats, cut_short: NDArray[np.bool_]) -> int | None:
    """How many sources have their first fault within `cap` queries; None where some were not searched as long.

    Args:
        first, queries, cut_short: as for `waits`.
    """
    found = first <= cap
    unknown = np.isnan(first) | (cut_short & ~np.isfinite(first) & (queries < cap))
    return None if unknown.any() else int(found.sum())


def median_wait(first: Floats, queries: Floats, cut_short: NDArray[np.bool_]) -> Found:
    """Kaplan and Meier's median over sources, with the interval of Brookmeyer and Crowley (1982, log-log).

    It is None where less than half of the sources are known to have a fault; so is an end that is not reached.
    """
    from scipy.stats import CensoredData, ecdf

    found = np.isfinite(first)
    after_all = max(first[found].max(), queries.max()) + 1
    followed = np.where(cut_short, queries, after_all)  # so long nothing was found, or would be
    survival = ecdf(CensoredData(first[found], right=followed[~found])).sf
    with warnings.catch_warnings(action="ignore"):  # that it is not defined at shares of 0 and 1
        band = survival.confidence_interval(method="log-log")
    median = _half(survival)
    return median, None if median is None else (_half(band.low), _half(band.high))


def _half(curve: Any) -> float | None:
    """Where a survival curve comes down to a half."""
    below = curve.quantiles[curve.probabilities <= HALF]
    return float(below[0]) if len(below) else None


def search_wait(first: Floats, queries: Floats) -> Found:
    """All queries until the first fault of a search, the mean over all orders of its sources.

    The interval is from resampling sources; an end where a resample has no fault is None.
    """
    from latreg.measures.statistics import bootstrap

    interval = bootstrap(_mean_wait, first, queries)
    return float(_mean_wait(first, queries)), interval and (interval[0], None if interval[1] == inf else interval[1])


def _mean_wait(first: Floats, queries: Floats) -> Any:
    """Along the last axis; inf where nothing is found.

    Before the first of m sources with a fault comes each other one with probability 1 / (m + 1).
    """
    found = np.isfinite(first)
    m = found.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(found, first, 0).sum(axis=-1) / m
    return np.where(m > 0, own + np.where(found, 0, queries).sum(axis=-1) / (m + 1), inf)
