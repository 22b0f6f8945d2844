"""Bisection of one coordinate of a proposal down to the SUT's decision boundary."""

from collections.abc import Callable

from latreg.interfaces import BoundaryPair, Evaluation, Proposal
from latreg.search.protocol import Search, query_one

Promising = Callable[[Evaluation], Search[bool]]


def bisect(
    propose: Callable[[float], Proposal],
    last: tuple[float, Evaluation],
    first: tuple[float, Evaluation],
    steps: int,
    promising: Promising | None = None,
) -> Search[BoundaryPair]:
    """Halve the interval between an image still classified c and one that is not, `steps` times.

    Args:
        propose: the proposal at a coordinate.
        last, first: coordinate and evaluation of the two ends.
        steps: below about 12 halvings of a unit interval, rounding in the networks decides.
        promising: asked about each new image that is still classified c; where it says no, the bisection ends there.
    """
    (inside, last_evaluation), (outside, first_evaluation) = last, first
    for _ in range(steps):
        middle = (inside + outside) / 2
        evaluation = yield from query_one(propose(middle))
        if evaluation.flipped:
            outside, first_evaluation = middle, evaluation
        else:
            inside, last_evaluation = middle, evaluation
            if promising is not None and not (yield from promising(evaluation)):
                break
    return BoundaryPair(last_evaluation, first_evaluation, abs(outside - inside))
