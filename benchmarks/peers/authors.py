"""The two searches of "Latent Regularization in Generative Test Input Generation" (arXiv 2602.15552).

Written from the paper and from what docs/study.md ("The published search") says of the authors' code. As there, an
image is rendered and classified per call, by the arithmetic of the published networks, and a source is searched to
its end before the next one. What differs from that code:

- The networks are latreg's, and so are the sources; a budget ends a search, where theirs ends at a number of pairs.
- The SUT is built once and not for each call, and sees 8-bit images.
- L2 of the screen is computed in float, where differences of uint8 wrap around, and SSIM has windows of 11 pixels,
  theirs of 7.
- On Fashion-MNIST's layer sets [2] and [3, 2] latents are blended, not pixels.
- Pairs that fail the screen are judged too, if no other is found; theirs are thrown away.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers.searching import Questions
from latreg.data.images import to_unit
from latreg.interfaces import BoundaryPair, Evaluation, Proposal
from latreg.search.protocol import BudgetSpentError
from latreg.validity.similarity import relative_l2, ssim


@dataclass(frozen=True)
class FirstFlip:
    """Random latent truncation: z stays, psi falls along a grid, and the first other answer is the fault."""

    psi_grid: Sequence[float]

    def search(self, start: Evaluation, ask: Questions) -> Iterator[BoundaryPair]:
        last = start
        for psi in self.psi_grid:
            (image,) = ask.about(Proposal(psi))
            if image.flipped:
                yield BoundaryPair(last, image, last.proposal.psi - psi)
                return
            last = image


@dataclass(frozen=True)
class StyleMixing:
    """Latent code mixing: a partner's w on some layers; where that flips the SUT, bisection of its strength.

    Args:
        layer_sets: in the order of trial.
        partners: z_seeds 0 .. of a rival, the same for all sources.
        top_k, rivals_above: rivals are the next best classes, so many of them, with more than this probability.
        targeted: the mixture must be classified as the rival.
        bisection_steps: of alpha.
        min_ssim, max_l2_rel: the screen; a search ends at the first pair that passes it.
    """

    layer_sets: Sequence[Sequence[int]]
    partners: int
    top_k: int
    rivals_above: float
    targeted: bool
    bisection_steps: int
    min_ssim: float
    max_l2_rel: float

    def search(self, start: Evaluation, ask: Questions) -> Iterator[BoundaryPair]:
        rivals = [rival for rival in start.rivals(self.top_k) if start.probabilities[rival] > self.rivals_above]
        for rival, partner, layers in product(rivals, range(self.partners), self.layer_sets):
            mixture = partial(Proposal, 1.0, partner, rival, tuple(layers))
            (end,) = ask.about(mixture(1.0))
            if end.predicted == rival or (end.flipped and not self.targeted):
                pair = self._bisected(start, end, mixture, ask)
                yield pair
                if self._passes(start, pair.first):
                    return

    def _bisected(
        self, start: Evaluation, end: Evaluation, mixture: Callable[[float], Proposal], ask: Questions
    ) -> BoundaryPair:
        low, last, high, first = 0.0, start, 1.0, end
        with suppress(BudgetSpentError):
            for _ in range(self.bisection_steps):
                middle = (low + high) / 2
                (image,) = ask.about(mixture(middle))
                if image.flipped:
                    high, first = middle, image
                else:
                    low, last = middle, image
        return BoundaryPair(last, first, high - low)

    def _passes(self, source: Evaluation, image: Evaluation) -> bool:
        a, b = _tensor(source.image), _tensor(image.image)
        return ssim(a, b).item() >= self.min_ssim and relative_l2(a, b).item() <= self.max_l2_rel


def _tensor(image: np.ndarray) -> Tensor:
    return to_unit(torch.from_numpy(image))[None]
