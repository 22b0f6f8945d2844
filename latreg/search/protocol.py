"""Typed ways for a search to ask the engine something: `evaluations = yield from query(...)`."""

from collections.abc import Generator, Sequence
from typing import TypeVar, cast

from latreg.interfaces import Appraisal, Appraise, Ask, BoundaryPair, Evaluation, Proposal, Query, Report, Tell, Verdict

T = TypeVar("T")
Search = Generator[Ask, Tell, T]


class BudgetSpentError(Exception):
    """Raised where a search asks for more queries than it has left: it may still report what it has, at no cost."""


def query(proposals: Sequence[Proposal]) -> Search[list[Evaluation]]:
    """Show images to the SUT; each costs one query."""
    return cast(list[Evaluation], (yield Query(proposals)))


def query_one(proposal: Proposal) -> Search[Evaluation]:
    """Show one image to the SUT."""
    (evaluation,) = yield from query([proposal])
    return evaluation


def report(start: Evaluation, pair: BoundaryPair) -> Search[Verdict]:
    """Hand over a boundary pair that was found from `start`; the engine keeps the best one of a source."""
    return cast(Verdict, (yield Report(Appraisal(start, pair.first), pair)))


def appraise(source: Evaluation, candidate: Evaluation) -> Search[Verdict]:
    """Ask whether an image is valid, without a query."""
    return cast(Verdict, (yield Appraise(Appraisal(source, candidate))))
