"""Narrowing one coordinate of a proposal down to the SUT's decision boundary."""

from collections.abc import Callable
from dataclasses import dataclass
from math import copysign

import numpy as np

from latreg.interfaces import BoundaryPair, Evaluation, Proposal, Segment
from latreg.search.protocol import BudgetSpentError, Search, query_one

Promising = Callable[[Evaluation], Search[bool]]

NUDGE = 0.2  # how far ITP moves its guess towards the middle, in squared widths of the interval it began with
TINY = 1e-30  # in the place of probabilities of 0, whose logarithm is needed


@dataclass(frozen=True)
class _End:
    """One end of the interval: a point of the grid, and what the SUT sees there."""

    point: int
    evaluation: Evaluation


def find_boundary(
    propose: Callable[[float], Proposal],
    last: tuple[float, Evaluation],
    first: tuple[float, Evaluation],
    steps: int,
    promising: Promising | None = None,
    root_finder: str = "bisection",
) -> Search[BoundaryPair]:
    """Two neighbours on a grid of 2^steps intervals between which the SUT changes its mind.

    Where the budget is spent on the way, the two points further apart between which it is known to.

    Where it does so once only, both root finders end at the same two. "bisection" takes `steps` queries. "itp"
    (Oliveira & Takahashi 2020, doi 10.1145/3423597) guesses from the log-odds of the class, which are nearly linear
    near the boundary: one query more at worst, and a third to half fewer on average.

    Args:
        propose: the proposal at a coordinate.
        last, first: coordinate and evaluation of an image still classified c, and of one that is not.
        steps: above about 12, for a unit interval, rounding in the networks decides.
        promising: asked about each new image that is still classified c; where it says no, the search ends there.
        root_finder: bisection or itp.
    """
    count = 2**steps
    (start, last_evaluation), (stop, first_evaluation) = last, first
    inside, outside = _End(0, last_evaluation), _End(count, first_evaluation)
    queries = steps + 1
    while outside.point - inside.point > 1:
        queries -= 1
        point = _middle(inside, outside) if root_finder == "bisection" else _guess(inside, outside, count, 2**queries)
        try:
            evaluation = yield from query_one(propose(start + (stop - start) * point / count))
        except BudgetSpentError:
            break
        if evaluation.flipped:
            outside = _End(point, evaluation)
        else:
            inside = _End(point, evaluation)
            if promising is not None and not (yield from promising(evaluation)):
                break
    width = abs(stop - start) * (outside.point - inside.point) / count
    here = start + (stop - start) * outside.point / count
    beyond = Segment(propose, here, stop, first_evaluation) if outside.point < count else None
    return BoundaryPair(inside.evaluation, outside.evaluation, width, beyond)


def _middle(inside: _End, outside: _End) -> int:
    return (inside.point + outside.point) // 2


def _guess(inside: _End, outside: _End, count: int, reach: int) -> int:
    """Where to look next: interpolate, truncate, project.

    Args:
        inside, outside: ends of the interval, at least two apart.
        count: length of the interval it began with.
        reach: no end may stay further away than this, so that halving what is left suffices.
    """
    low, high = inside.point, outside.point
    width, middle = high - low, (low + high) / 2
    above, below = _log_odds(inside.evaluation), _log_odds(outside.evaluation)
    crossing = low + width * above / (above - below) if above > below else middle
    nudge = min(max(NUDGE * width**2 / count, 0.5), abs(middle - crossing))
    guess = crossing + copysign(nudge, middle - crossing)
    return round(min(max(guess, low + 1, high - reach), high - 1, low + reach))


def _log_odds(evaluation: Evaluation) -> float:
    """Of the class against the next best one; 0 is on the boundary."""
    logs = np.log(np.maximum(evaluation.probabilities.astype(np.float64), TINY))
    return float(logs[evaluation.label] - np.delete(logs, evaluation.label).max())
