"""Attacks on pixels: foolbox's HopSkipJump (arXiv 1904.02144) and projected gradient descent (arXiv 1706.06083).

They search no latent space. A fault of theirs is the source's image with noise, which is why a person still sees the
class; it says that the classifier is not robust, not that it does not generalize. Both run as foolbox has them, one
source per call, from the image of latreg's generator. What is added to foolbox:

- The budget: HopSkipJump is stopped by it, and reports the nearest wrong image that it has asked about.
- The 8 bits of a saved image: what is found is rounded and shown to the SUT once more. If it is right then, nothing was
  found. HopSkipJump ends on the boundary, so this happens often, and what stays wrong hangs on a knife edge. As
  latreg's searches walk on from there, it takes part a second time, with levels that are rounded away from the source.
- HopSkipJump is answered by latreg's SUT; gradients are those of the same network in torch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peers.searching import Questions
from latreg.data.images import quantize, to_unit
from latreg.errors import LatregError
from latreg.interfaces import BoundaryPair, Evaluation, Proposal
from latreg.search.protocol import BudgetSpentError

WHOLE = 1e-3  # of a gray level, by which rounding errors of floats stay below


@dataclass(frozen=True)
class HopSkipJump:
    """Asks for answers alone and walks along the boundary towards the source, by L2.

    Args:
        away: round away from the source, not to the nearest level.
    """

    away: bool = False

    def search(self, start: Evaluation, ask: Questions) -> Iterator[BoundaryPair]:
        model = _Counted(start, ask, ask.sut)
        attack = import_foolbox().HopSkipJumpAttack()
        try:
            _attacked(attack, model)
        except BudgetSpentError:
            pass
        except ValueError as error:  # of foolbox: no noise is classified otherwise
            if isinstance(error, LatregError):
                raise
        if model.nearest is not None:
            yield from _pair(start, model.nearest, ask, self.away)


@dataclass(frozen=True)
class ProjectedGradient:
    """Ascends the cross entropy in 40 steps within a ball of L-infinity. A white box: each gradient is a query.

    Args:
        epsilon: radius of the ball, of 1.
    """

    epsilon: float

    def search(self, start: Evaluation, ask: Questions) -> Iterator[BoundaryPair]:
        model = _Counted(start, ask, ask.sut.network)
        attack = import_foolbox().LinfProjectedGradientDescentAttack()
        yield from _pair(start, _attacked(attack, model, epsilon=self.epsilon), ask)


class _Counted(nn.Module):
    """The SUT as foolbox sees it.

    Attributes:
        nearest: of the wrong images (C, H, W) that it was asked about, None = there was none.
    """

    def __init__(self, start: Evaluation, ask: Questions, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.source = to_unit(torch.from_numpy(start.image))
        self.label = start.label
        self.nearest: Tensor | None = None
        self.ask, self._answer = ask, answer
        self._distance = float("inf")

    def forward(self, images: Tensor) -> Tensor:
        self.ask.spend(len(images), keep=1)
        images = images.clamp(0, 1)  # a blend may leave it by a rounding error
        answers = self._answer(images)
        for image, answer in zip(images.detach(), answers.argmax(1).tolist(), strict=True):
            if answer != self.label:
                self._keep(image)
        return answers

    def _keep(self, image: Tensor) -> None:
        distance = float((image - self.source).norm())
        if distance < self._distance:
            self.nearest, self._distance = image, distance


def _attacked(attack: Any, model: _Counted, **settings: float) -> Tensor:
    """The image (C, H, W) that an attack ends with; its draws depend on the source alone."""
    from foolbox.models.pytorch import PyTorchModel

    source = model.ask.source
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.default_rng([source.label, source.z_seed]).integers(2**63)))
        labels = torch.tensor([model.label])
        found: Tensor = attack.run(PyTorchModel(model.eval(), (0, 1), "cpu"), model.source[None], labels, **settings)
    return found[0]


def _pair(start: Evaluation, image: Tensor, ask: Questions, away: bool = False) -> Iterator[BoundaryPair]:
    """The source and an attack's image, if that is wrong in 8 bits too."""
    ask.spend(1)
    source = torch.from_numpy(start.image)
    rounded = away_from(source, image) if away else quantize(image)
    (probabilities,) = ask.sut(to_unit(rounded)[None]).numpy()
    first = Evaluation(Proposal(1.0), start.label, rounded.numpy(), probabilities)  # no recipe renders it
    if first.flipped:
        yield BoundaryPair(start, first, float((to_unit(rounded) - to_unit(source)).norm()))


def away_from(source: Tensor, image: Tensor) -> Tensor:
    """An image in [0, 1] in 8 bits, each level rounded away from that of the source (uint8)."""
    change = image * 255 - source
    levels = source + change.sign() * (change.abs() - WHOLE).ceil()
    return levels.clamp(0, 255).to(torch.uint8)


def import_foolbox() -> Any:
    """foolbox's attacks.

    Raises:
        LatregError: foolbox is not there.
    """
    try:
        from foolbox import attacks
    except ImportError as error:
        raise LatregError(f"attacks on pixels need an extra: pip install -e '.[peers]' ({error})") from error
    return attacks
