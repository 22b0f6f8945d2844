"""Baseline without a search: draw sources and count those the SUT gets wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

from latreg.interfaces import BoundaryPair, Evaluation, Source
from latreg.search.protocol import Search, report


@dataclass(frozen=True)
class Sampling:
    """A misclassified source is itself the fault; it has no last correct image."""

    name: str = "sampling"
    needs_accepted: bool = False
    layer_sets: Sequence[Sequence[int]] = ()

    def search(self, source: Source, start: Evaluation) -> Search[None]:
        if start.flipped:
            yield from report(BoundaryPair(None, start))
