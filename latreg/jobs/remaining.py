"""How many queries a search still needs, from what its sources have needed so far."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Range(NamedTuple):
    """Queries: how many are left is not known better."""

    least: float
    most: float


def queries_left(ended: Sequence[int], live: Sequence[int], waiting: int, limit: int) -> Range:
    """What is left of a search whose sources take like numbers of queries.

    Short searches end first, so the mean of those that have ended is too small. The survival function is estimated
    with the others as censored (Kaplan & Meier 1958). Behind the longest search that was seen it is unknown: there all
    may end at once, or go on to the limit.

    Args:
        ended: queries of each search that has ended.
        live: queries so far of each that is under way.
        waiting: sources that are not begun.
        limit: queries of a source at most.

    Returns:
        The expected number, if all that is unknown ends at once, and if it goes on to the limit.
    """
    ages = np.array(live, dtype=int)
    ends = np.bincount(np.array(ended, dtype=int), minlength=1 + max(0, *ended, *live))
    last = len(ends) - 1
    at_risk = np.cumsum((ends + np.bincount(ages, minlength=last + 1))[::-1])[::-1]
    survival = np.cumprod(1 - ends / np.maximum(at_risk, 1))  # [q]: takes more than q queries
    behind = np.cumsum(survival[::-1])[::-1]  # sum from q on
    weights = 1 / survival[ages]  # that it is under way is known
    least = float((behind[ages] * weights).sum() + behind[0] * waiting)
    tail = max(limit - last - 1, 0) * survival[last]
    return Range(least, least + float(tail * (weights.sum() + waiting)))
