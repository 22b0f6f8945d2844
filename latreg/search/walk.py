"""Baseline: a random walk in z, which no answer of the SUT steers."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from latreg.interfaces import BoundaryPair, Evaluation, Latent, Proposal, Source, Strategy
from latreg.search.protocol import Search, query_one, report


@dataclass(frozen=True)
class Walk(Strategy):
    """Add normal noise to z, always from where the last step led, until the SUT changes its mind.

    Args:
        sigma: standard deviation of a step in each coordinate of z, that of z itself being 1.
        steps: at most.
        run_seed: draws the steps, together with the source.
    """

    sigma: float
    steps: int
    run_seed: int
    name: str = "walk"
    z_dim: int = 0

    def prepared(self, num_ws: int, z_dim: int) -> Self:
        return replace(self, z_dim=z_dim)

    def search(self, source: Source, start: Evaluation) -> Search[None]:
        rng = np.random.default_rng([self.run_seed, source.label, source.z_seed])
        last, offset = start, np.zeros(self.z_dim)
        for _ in range(self.steps):
            step = rng.normal(0, self.sigma, self.z_dim)
            offset = offset + step
            evaluation = yield from query_one(Proposal(start.proposal.psi, latent=Latent.of("z", offset)))
            if evaluation.flipped:
                yield from report(start, BoundaryPair(last, evaluation, float(np.linalg.norm(step))))
                return
            last = evaluation
