"""Where psi is decided: how a source gets it, none, fixed, or adaptive in two directions."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from latreg.errors import LatregError
from latreg.interfaces import Evaluation, Proposal, Source
from latreg.search.criteria import BaselineGate
from latreg.search.protocol import Search, appraise, query_one

log = logging.getLogger(__name__)


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


def make_truncation(mode: str, psi: float, direction: str, grid: Sequence[float]) -> Truncation:
    """The truncation that the settings of the group `truncation` name.

    Raises:
        LatregError: adaptive truncation has no grid.
    """
    if mode != "fixed" and psi != 1:
        log.warning("truncation.psi=%g has no effect with truncation.mode=%s, only with fixed", psi, mode)
    if mode == "none":
        return Fixed(1.0)
    if mode == "fixed":
        return Fixed(psi)
    if not grid:
        raise LatregError("truncation.grid must hold at least one psi, got none")
    directions: dict[str, Callable[[Sequence[float]], Truncation]] = {"salvage": Salvage, "minimal": Minimal}
    return directions[direction](tuple(sorted(grid, reverse=True)))
