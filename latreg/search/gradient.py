"""Baseline: projected gradient descent in w (Madry et al. 2018, arXiv 1706.06083). It sees into the networks."""

from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from latreg.interfaces import ROBUST_MARGIN, Evaluation, Latent, Proposal, Source, Strategy
from latreg.search.boundary import find_boundary
from latreg.search.protocol import BudgetSpentError, Search, query_one, report, slope

TINY = 1e-12  # in the place of lengths of 0, by which nothing is divided


@dataclass(frozen=True)
class Gradient(Strategy):
    """Go down the log-odds of the class in steps of equal length, inside a ball around the source's w.

    It ends where the SUT is wrong by the margin of a robust fault, and looks for the boundary on the straight line
    to the image of the least margin. A step costs two queries, one of them for the gradient.

    Args:
        step: length in w.
        radius: of the ball.
        steps: at most.
        bisection_steps: to the boundary.
        root_finder: bisection or itp.
    """

    step: float
    radius: float
    steps: int
    bisection_steps: int
    root_finder: str
    name: str = "gradient"
    needs_slopes = True

    def search(self, source: Source, start: Evaluation) -> Search[None]:
        end = yield from self._descend(start)
        if not end.flipped or end.proposal.latent is None:
            return
        psi, offset = start.proposal.psi, np.array(end.proposal.latent.values)

        def propose(alpha: float) -> Proposal:
            return Proposal(psi, latent=Latent.of("w", alpha * offset))

        ends = (0.0, start), (1.0, end)
        pair = yield from find_boundary(propose, *ends, self.bisection_steps, root_finder=self.root_finder)
        yield from report(start, pair)

    def _descend(self, start: Evaluation) -> Search[Evaluation]:
        """The image of the least margin."""
        here, least, offset = start, start, np.zeros(1)
        for _ in range(self.steps):
            try:
                gradient = yield from slope(here.proposal)
                offset = self._moved(offset, gradient)
                here = yield from query_one(Proposal(start.proposal.psi, latent=Latent.of("w", offset)))
            except BudgetSpentError:
                break
            least = min(least, here, key=attrgetter("margin"))
            if here.margin <= -ROBUST_MARGIN:
                break
        return least

    def _moved(self, offset: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """A step against the gradient, and back into the ball."""
        moved: np.ndarray = offset - self.step * gradient / max(float(np.linalg.norm(gradient)), TINY)
        return moved * min(1.0, self.radius / max(float(np.linalg.norm(moved)), TINY))
