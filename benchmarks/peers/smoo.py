"""SMOO's search with a StyleGAN, "Mimicry" (arXiv 2408.06258), generation by generation.

A source and one partner, which the SUT classifies as the source's second class; a genome says how much of the partner
each layer takes; a generation is rendered and classified in one call, and pymoo breeds the next one. Both objectives
are made small: |p1 - p2| / (p1 + p2), and the distance to the source's image. Written from the
paper; SMOO's code was read for what differs:

- The networks and sources are latreg's, their noise is constant, and images are clamped to [-1, 1] and rounded to 8
  bits where SMOO scales each to its largest value.
- The algorithm is pymoo's NSGA-II with Latin hypercube sampling, which SMOO offers beside AGE-MOEA-II, with a
  population of 20, where its settings have 100: a budget of 200 queries would be over after two generations.
- Draws come from a seed, not from the clock, and the distance is over all channels together.
- SMOO reports the first of its Pareto front, right or wrong; here it is the wrong image of all generations on which
  the SUT is most torn, as with strategy=mimicry.
- It ends at its budget or after all generations; nothing is logged.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.peers.searching import Questions
from latreg.interfaces import BoundaryPair, Evaluation, Latent, Proposal
from latreg.search.mimicry import distance, import_nsga2, torn
from latreg.search.protocol import BudgetSpentError


@dataclass(frozen=True)
class Smoo:
    """NSGA-II over genomes in [0, 1]^num_ws.

    Args:
        population: genomes of a generation.
        generations: the first one included.
    """

    population: int
    generations: int

    def search(self, start: Evaluation, ask: Questions) -> Iterator[BoundaryPair]:
        (rival,) = start.rivals(1)
        seen = [start]
        with suppress(BudgetSpentError):
            self._evolve(start, rival, ask, seen)
        right, wrong = ([image for image in seen if image.flipped is flipped] for flipped in (False, True))
        if wrong:
            last, first = (min(images, key=lambda image: torn(image, rival)) for images in (right, wrong))
            yield BoundaryPair(last, first, distance(last, first))

    def _evolve(self, start: Evaluation, rival: int, ask: Questions, seen: list[Evaluation]) -> None:
        """Append the images of all generations to those seen."""
        from pymoo.operators.sampling.lhs import LHS

        rng = np.random.default_rng([ask.source.label, ask.source.z_seed])
        nsga2, problem = import_nsga2()
        num_ws = ask.networks.network.num_ws
        partner = self._partner(rival, num_ws, ask, rng)
        algorithm = nsga2(pop_size=self.population, sampling=LHS())
        seed = int(rng.integers(2**31))
        algorithm.setup(problem(n_var=num_ws, n_obj=2, xl=0.0, xu=1.0), seed=seed, verbose=False)
        for _ in range(self.generations):
            population = algorithm.ask()
            images = ask.about(*(replace(partner, latent=Latent.of("alphas", one)) for one in population.get("X")))
            seen += images
            population.set("F", np.array([(torn(image, rival), distance(start, image)) for image in images]))
            algorithm.tell(infills=population)

    def _partner(self, rival: int, num_ws: int, ask: Questions, rng: np.random.Generator) -> Proposal:
        """The first latent of the rival's class that the SUT classifies so, without anything of it yet."""
        while True:
            whole = Proposal(1.0, int(rng.integers(2**32)), rival, tuple(range(num_ws)), 1.0)
            if ask.about(whole)[0].predicted == rival:
                return replace(whole, layers=(), alpha=0.0)
