"""Typed ways for a search to ask the engine something: `evaluations = yield from query(...)`."""

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TypeVar, cast

import numpy as np

from latreg.interfaces import (
    Appraisal,
    Appraise,
    Ask,
    BoundaryPair,
    Evaluation,
    Finding,
    Measure,
    Proposal,
    Query,
    Report,
    Slope,
    Tell,
    Verdict,
)

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


def slope(proposal: Proposal) -> Search[np.ndarray]:
    """The gradient (w_dim,) of the log-odds of the class at an image, along its w on all layers; it costs a query."""
    return cast(np.ndarray, (yield Slope(proposal)))


def report(start: Evaluation, pair: BoundaryPair) -> Search[Finding]:
    """Hand over a boundary pair that was found from `start`; the engine keeps the best one of a source.

    It first walks on to the most severe valid point behind the boundary, which costs queries.
    """
    return cast(Finding, (yield Report(start, pair)))


def appraise(source: Evaluation, candidate: Evaluation, *, recorded: bool = False) -> Search[Verdict]:
    """Ask whether an image is valid, without a query.

    Args:
        source: that it came from.
        candidate: the image.
        recorded: also measure all columns, which takes longer.
    """
    return cast(Verdict, (yield Appraise(Appraisal(source, candidate, recorded))))


def measure(source: Evaluation, candidate: Evaluation) -> Search[Verdict]:
    """Have all columns of an image measured that was appraised before."""
    return cast(Verdict, (yield Measure(Appraisal(source, candidate))))


def answering(search: Search[None], take: Callable[[Report], Search[Finding]]) -> Search[None]:
    """The same search, whose reports are taken here; all else that it asks is passed on."""
    step = partial(search.send, cast(Tell, None))  # which starts it
    while True:
        try:
            ask = step()
        except StopIteration:
            return
        try:
            answer = (yield from take(ask)) if isinstance(ask, Report) else (yield ask)
        except BudgetSpentError as error:
            step = partial(search.throw, error)
        else:
            step = partial(search.send, answer)
