"""Latent code mixing with binary search (arXiv 2602.15552, after Mimicry, arXiv 2408.06258)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Self

import numpy as np

from latreg.errors import LatregError
from latreg.interfaces import Evaluation, Proposal, Source, Strategy
from latreg.search.boundary import find_boundary
from latreg.search.protocol import Search, appraise, query_one, report


@dataclass(frozen=True)
class Mixing(Strategy):
    """Put a rival's latent on some layers; where that flips the SUT, search the strength at which it does.

    Rivals are the SUT's next best classes. Partners, rivals and layer sets are tried in turn, until a pair is good
    enough or the budget of the source is spent.

    With `give_up`, verdicts guide that search; they cost no query. On the way from the source to the rival the SUT
    changes its mind at one point and the judge at another, and only where the SUT is first do valid faults lie between
    the two. An image that the SUT still classifies c although it is no longer valid proves the other order, so the
    mixture is left there. A source that is itself invalid is left at once.

    Args:
        layer_sets: sets of layer numbers below num_ws, in the order of trial; () = all layers.
        partners: partner latents drawn per rival.
        top_k: number of rivals.
        targeted: the mixture must be classified as the rival, not just as another class.
        bisection_steps: the boundary is known to 2^-steps of alpha.
        root_finder: bisection or itp, which needs fewer queries.
        give_up: leave a mixture as soon as a verdict shows that its boundary is invalid.
        until: what a pair must be to end the search of its source: flipped, screened, valid or robust.
        run_seed: draws the partners, together with the source.
        rivals_above: rivals that the SUT gives no more than this probability are left out, None = none is.
        same_partners: for all sources the z_seeds 0, 1 .. are the partners, as published; else they are drawn.
        rival_by_rival: all partners of a rival are tried before the next rival, as published; else rivals take turns.
    """

    layer_sets: Sequence[Sequence[int]]
    partners: int
    top_k: int
    targeted: bool
    bisection_steps: int
    until: str
    run_seed: int
    give_up: bool = False
    root_finder: str = "bisection"
    rivals_above: float | None = None
    same_partners: bool = False
    rival_by_rival: bool = False
    name: str = "mixing"

    @property
    def mixed_layers(self) -> Sequence[Sequence[int]]:
        return self.layer_sets

    def prepared(self, num_ws: int, z_dim: int) -> Self:
        for layer in (layer for layers in self.layer_sets for layer in layers):
            if not 0 <= layer < num_ws:
                raise LatregError(f"strategy.layer_sets must name layers 0 .. {num_ws - 1}, got {layer}")
        return replace(self, layer_sets=tuple(tuple(layers) or tuple(range(num_ws)) for layers in self.layer_sets))

    def search(self, source: Source, start: Evaluation) -> Search[None]:
        def valid(image: Evaluation) -> Search[bool]:
            return (yield from appraise(start, image)).valid

        if self.give_up and not (yield from valid(start)):
            return
        promising = valid if self.give_up else None
        for whole in self._mixtures(source, start):
            end = yield from query_one(whole(1.0))
            if not self._hit(end):
                continue
            pair = yield from find_boundary(
                whole, (0.0, start), (1.0, end), self.bisection_steps, promising, self.root_finder
            )
            if not self._hit(pair.first):
                continue
            if (yield from report(start, pair)).reaches(self.until):
                return

    def _mixtures(self, source: Source, start: Evaluation) -> Iterator["_Mixture"]:
        least = -1.0 if self.rivals_above is None else self.rivals_above
        rivals = [rival for rival in start.rivals(self.top_k) if start.probabilities[rival] > least]
        seeds = {rival: self._partner_seeds(source, rival) for rival in rivals}
        turns = [(partner, rival) for partner in range(self.partners) for rival in rivals]
        if self.rival_by_rival:
            turns.sort(key=lambda turn: rivals.index(turn[1]))
        for (partner, rival), layers in product(turns, self.layer_sets):
            yield _Mixture(start.proposal.psi, int(seeds[rival][partner]), rival, tuple(layers))

    def _partner_seeds(self, source: Source, rival: int) -> np.ndarray:
        if self.same_partners:
            return np.arange(self.partners, dtype=np.uint64)
        rng = np.random.default_rng([self.run_seed, source.label, source.z_seed, rival])
        return rng.integers(2**32, size=self.partners, dtype=np.uint64)

    def _hit(self, evaluation: Evaluation) -> bool:
        if self.targeted:
            return evaluation.predicted == evaluation.proposal.rival
        return evaluation.flipped


@dataclass(frozen=True)
class _Mixture:
    """Source, partner and layers; calling it gives the proposal at an alpha."""

    psi: float
    partner_z_seed: int
    rival: int
    layers: tuple[int, ...]

    def __call__(self, alpha: float) -> Proposal:
        return Proposal(self.psi, self.partner_z_seed, self.rival, self.layers, alpha)
