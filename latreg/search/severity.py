"""From a boundary on into the wrong side: how wrong does the SUT get while the image stays valid?"""

from latreg.interfaces import BoundaryPair, Evaluation, Judged, Segment, Verdict
from latreg.search.protocol import BudgetSpentError, Search, appraise, measure, query_one


def most_severe(start: Evaluation, pair: BoundaryPair, verdict: Verdict, steps: int) -> Search[Judged]:
    """The valid image with the most negative margin that is found between the boundary and the end of its segment.

    The gates hold at the boundary and mostly not at the end, so where they cease to is found by bisection. The end
    costs no query, as its answer is known. Where the budget is spent on the way, it is the best that was found until
    then; where there is no segment, the first wrong image itself.

    Args:
        start: the source's image.
        pair: on the boundary; its first wrong image is valid.
        verdict: on that image.
        steps: queries at most.
    """
    first = Judged(pair.first, verdict)
    if pair.beyond is None:
        return first
    best = yield from _walked(start, pair.beyond, first, steps)
    if best is first:
        return first
    return Judged(best.evaluation, (yield from measure(start, best.evaluation)))


def _walked(start: Evaluation, beyond: Segment, best: Judged, steps: int) -> Search[Judged]:
    """The valid image with the most negative margin, `best` or one behind it."""
    valid, invalid = beyond.start, beyond.stop
    if (end := Judged(beyond.end, (yield from appraise(start, beyond.end)))).verdict.valid:
        return _worse(best, end)
    for _ in range(steps):
        middle = (valid + invalid) / 2
        try:
            evaluation = yield from query_one(beyond.propose(middle))
        except BudgetSpentError:
            break
        if evaluation.flipped and (verdict := (yield from appraise(start, evaluation))).valid:
            best, valid = _worse(best, Judged(evaluation, verdict)), middle
        else:
            invalid = middle
    return best


def _worse(first: Judged, second: Judged) -> Judged:
    """The one on which the SUT is further off; of equals the first."""
    return second if second.evaluation.margin < first.evaluation.margin else first
