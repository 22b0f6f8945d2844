"""Random latent truncation ("first flip", arXiv 2602.15552): shrink psi until the SUT changes its mind."""

from collections.abc import Sequence
from dataclasses import dataclass

from latreg.interfaces import Evaluation, Proposal, Source, Strategy
from latreg.search.boundary import find_boundary
from latreg.search.protocol import Search, query_one, report


@dataclass(frozen=True)
class RandomTruncation(Strategy):
    """Walk psi down the grid from the source's own psi; bisect between the last two grid points (ours).

    Args:
        psi_grid: descending; values at or above the source's psi are passed over.
        bisection_steps: 0 = the published search, which stops at the grid point.
    """

    psi_grid: Sequence[float]
    bisection_steps: int = 12
    name: str = "random"

    def search(self, source: Source, start: Evaluation) -> Search[None]:
        last = (start.proposal.psi, start)
        for psi in self.psi_grid:
            if psi >= start.proposal.psi:
                continue
            evaluation = yield from query_one(Proposal(psi))
            if evaluation.flipped:
                pair = yield from find_boundary(Proposal, last, (psi, evaluation), self.bisection_steps)
                yield from report(start, pair)
                return
            last = (psi, evaluation)
