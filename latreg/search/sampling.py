"""Baseline without a search: draw sources and count those the SUT gets wrong."""

from dataclasses import dataclass

from latreg.interfaces import BoundaryPair, Evaluation, Source, Strategy
from latreg.search.protocol import Search, report


@dataclass(frozen=True)
class Sampling(Strategy):
    """A misclassified source is itself the fault; it has no last correct image."""

    name: str = "sampling"
    needs_accepted = False

    def search(self, source: Source, start: Evaluation) -> Search[None]:
        if start.flipped:
            yield from report(start, BoundaryPair(None, start))
