"""Mimicry: how much of one partner does each layer take? A multi-objective search (SMOO, arXiv 2408.06258)."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from latreg.errors import LatregError
from latreg.interfaces import BoundaryPair, Evaluation, Latent, Proposal, Source, Strategy
from latreg.search.protocol import BudgetSpentError, Search, query_one, report

TINY = 1e-30  # in the place of 0, by which nothing can be divided


@dataclass(frozen=True)
class Mimicry(Strategy):
    """NSGA-II over genomes in [0, 1]^num_ws, the strength with which a partner's w replaces each layer of the source.

    Both objectives are made small: how far the SUT is from being torn between the two classes, |p1 - p2| / (p1 + p2),
    and the distance to the source's image. When all generations are over, or the budget, the pair is made of the right
    and the wrong image between which the SUT is most torn. The population lives inside its source.

    Args:
        population: genomes of a generation.
        generations: of them, the first one included.
        run_seed: draws partner and genomes, together with the source.
    """

    population: int
    generations: int
    run_seed: int
    name: str = "mimicry"
    num_ws: int = 0

    def prepared(self, num_ws: int, z_dim: int) -> Self:
        import_nsga2()
        return replace(self, num_ws=num_ws)

    def search(self, source: Source, start: Evaluation) -> Search[None]:
        rng = np.random.default_rng([self.run_seed, source.label, source.z_seed])
        (rival,) = start.rivals(1)
        partner = Proposal(start.proposal.psi, int(rng.integers(2**32)), rival)
        seen = [start]
        with suppress(BudgetSpentError):
            yield from self._evolve(start, partner, int(rng.integers(2**31)), seen)
        right, wrong = ([image for image in seen if image.flipped is flipped] for flipped in (False, True))
        if right and wrong:
            last, first = (min(images, key=lambda image: torn(image, rival)) for images in (right, wrong))
            yield from report(start, BoundaryPair(last, first, _gap(last, first)))

    def _evolve(self, start: Evaluation, partner: Proposal, seed: int, seen: list[Evaluation]) -> Search[None]:
        """Append every image to those seen."""
        algorithm = self._algorithm(seed)
        for _ in range(self.generations):
            population = algorithm.ask()
            objectives = []
            for genome in population.get("X"):
                image = yield from query_one(replace(partner, latent=Latent.of("alphas", genome)))
                seen.append(image)
                objectives.append((torn(image, partner.rival), distance(start, image)))
            population.set("F", np.array(objectives))
            algorithm.tell(infills=population)

    def _algorithm(self, seed: int) -> Any:
        nsga2, problem = import_nsga2()
        algorithm = nsga2(pop_size=self.population)
        algorithm.setup(problem(n_var=self.num_ws, n_obj=2, xl=0.0, xu=1.0), seed=seed, verbose=False)
        return algorithm


def torn(image: Evaluation, rival: int | None) -> float:
    """How far the SUT is from being torn between the class and the rival, |p1 - p2| / (p1 + p2): 0 is the boundary."""
    assert rival is not None
    own, other = float(image.probabilities[image.label]), float(image.probabilities[rival])
    return abs(own - other) / max(own + other, TINY)


def distance(source: Evaluation, image: Evaluation) -> float:
    """||source - image|| / ||source|| in pixels."""
    before, after = source.image.astype(np.float64), image.image.astype(np.float64)
    return float(np.linalg.norm(before - after) / max(float(np.linalg.norm(before)), TINY))


def _gap(last: Evaluation, first: Evaluation) -> float:
    """Between the genomes of two images, of which the source has one of zeros."""
    ends = [np.array(image.proposal.latent.values) if image.proposal.latent else 0.0 for image in (last, first)]
    return float(np.linalg.norm(ends[0] - ends[1]))


def import_nsga2() -> tuple[Any, Any]:
    """pymoo's NSGA2 and Problem.

    Raises:
        LatregError: pymoo is not there.
    """
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
    except ImportError as error:
        raise LatregError(f"strategy=mimicry needs an extra: pip install 'latreg[baselines]' ({error})") from error
    return NSGA2, Problem
