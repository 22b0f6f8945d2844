"""How a source gets its psi: none, fixed, or adaptive in two directions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from latreg.interfaces import Evaluation, Proposal, Source
from latreg.search.criteria import BaselineGate
from latreg.search.protocol import Search, appraise, query_one


@dataclass(frozen=True, eq=False)
class Placement:
    """The evaluated source image at its psi; rejected_because is None where it was accepted."""

    start: Evaluation
    rejected_because: str | None


class Truncation(Protocol):
    """Chooses psi for a source."""

    def place(self, source: Source, gate: BaselineGate) -> Search[Placement]:
        """Evaluate the source at one psi or several and choose one."""
        ...


@dataclass(frozen=True)
class Fixed:
    """The same psi for every source; 1 = no truncation."""

    psi: float = 1.0

    def place(self, source: Source, gate: BaselineGate) -> Search[Placement]:
        start = yield from query_one(Proposal(self.psi))
        return Placement(start, gate.rejects(start))


@dataclass(frozen=True)
class Salvage:
    """The largest psi of the descending grid at which the source is accepted: rescues sources rejected at psi = 1.

    A source that no psi rescues keeps the first one.
    """

    grid: Sequence[float]

    def place(self, source: Source, gate: BaselineGate) -> Search[Placement]:
        first: Placement | None = None
        for psi in self.grid:
            start = yield from query_one(Proposal(psi))
            placement = Placement(start, gate.rejects(start))
            if placement.rejected_because is None:
                return placement
            first = first or placement
        assert first is not None
        return first


@dataclass(frozen=True)
class Minimal:
    """The smallest psi down to which the source is accepted and valid without a gap: the paper's psi*."""

    grid: Sequence[float]

    def place(self, source: Source, gate: BaselineGate) -> Search[Placement]:
        best: Placement | None = None
        first: Placement | None = None
        for psi in self.grid:
            start = yield from query_one(Proposal(psi))
            reason = gate.rejects(start)
            if reason is None and not (yield from appraise(start, start)).valid:
                reason = "invalid"
            if reason is None:
                best = Placement(start, None)
            elif best is not None:
                return best
            first = first or Placement(start, reason)
        assert first is not None
        return best or first
