"""Genetic search in z, as GIFTbench runs it on all its generators (ICST 2025), after Sinvad (arXiv 2005.09296)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Self

import numpy as np

from latreg.errors import LatregError
from latreg.interfaces import BoundaryPair, Evaluation, Latent, Proposal, Source, Strategy
from latreg.search.protocol import Search, query_one, report


@dataclass(frozen=True)
class Genetic(Strategy):
    """A population around the source's z whose fitness is the SUT's margin; it ends at the first margin below 0.

    Those with the least margin stay, without being shown to the SUT again. The others make room for children: one
    crossover of two that stay, then noise in each coordinate, which doubles when a generation made no progress. The
    population lives inside its source.

    Args:
        population: individuals of a generation.
        keep: of them, those that stay and have children.
        sigma: standard deviation of the first population and, at first, of the noise; that of z itself is 1.
        generations: at most, the first one included.
        run_seed: draws everything, together with the source.
    """

    population: int
    keep: int
    sigma: float
    generations: int
    run_seed: int
    name: str = "genetic"
    z_dim: int = 0

    def prepared(self, num_ws: int, z_dim: int) -> Self:
        if self.keep >= self.population:
            raise LatregError(f"strategy.keep must be below strategy.population, {self.population}, got {self.keep}")
        return replace(self, z_dim=z_dim)

    def search(self, source: Source, start: Evaluation) -> Search[None]:
        rng = np.random.default_rng([self.run_seed, source.label, source.z_seed])
        parents: list[_Individual] = []
        sigma, least = self.sigma, start.margin
        for _ in range(self.generations):
            for offset in self._offsets(parents, sigma, rng):
                proposal = Proposal(start.proposal.psi, latent=Latent.of("z", offset))
                evaluation = yield from query_one(proposal)
                if evaluation.flipped:
                    yield from report(start, BoundaryPair(start, evaluation, float(np.linalg.norm(offset))))
                    return
                parents.append(_Individual(offset, evaluation.margin))
            parents = sorted(parents, key=attrgetter("margin"))[: self.keep]
            if parents[0].margin >= least:
                sigma *= 2
            least = parents[0].margin

    def _offsets(self, parents: Sequence["_Individual"], sigma: float, rng: np.random.Generator) -> list[np.ndarray]:
        """From the source's z to those that the next generation is to try."""
        noise = rng.normal(0, sigma, (self.population - len(parents), self.z_dim))
        return list(noise) if not parents else [_crossed(parents, rng) + own for own in noise]


@dataclass(frozen=True, eq=False)
class _Individual:
    offset: np.ndarray  # (z_dim,), from the source's z
    margin: float


def _crossed(parents: Sequence[_Individual], rng: np.random.Generator) -> np.ndarray:
    """One-point crossover of two different parents, of one where there is no other."""
    first, second = (parents[i].offset for i in rng.permutation(len(parents))[[0, -1]])
    point = rng.integers(1, max(len(first), 2))
    return np.concatenate([first[:point], second[point:]])
