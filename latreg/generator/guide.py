"""Classifier guidance of a generator's training (Sauer et al., StyleGAN-XL, arXiv 2202.00273, section 3.4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latreg.classifier.optimized import folded
from latreg.classifier.sut import load_sut
from latreg.config import Config
from latreg.zoo.weights import name_of


class Guide:
    """What a frozen classifier says about samples. It is no module: neither trained nor synchronized nor saved.

    Args:
        network: images in [0, 1] to logits. Its weights must not change any more.
        name: what it is called on the card.
        id: sha256 of its weights.
        weight: of its loss in G's, until `start` images were shown.
        weight_end: at `end` images, on a line from `weight` at `start`; None = `weight` throughout.
        start, end: real images shown.
        until: samples to which it gives their class with at least this probability are not pushed any more.
        shift: in pixels, each way; what comes in from outside is its reflection.
        mirror: show it half of the samples mirrored.
    """

    def __init__(
        self,
        network: nn.Module,
        name: str,
        id: str,
        weight: float,
        weight_end: float | None = None,
        start: int = 0,
        end: int = 1,
        until: float = 1.0,
        shift: int = 0,
        mirror: bool = False,
    ) -> None:
        self._network = folded(network.eval()).requires_grad_(False)
        self._device: torch.device | None = None
        self.name, self.id = name, id
        self._weight, self._weight_end = weight, weight if weight_end is None else weight_end
        self._start, self._end = start, end
        self._until, self._shift, self._mirror = until, shift, mirror

    def weight(self, n_images: int) -> float:
        """Of its loss in G's, when so many real images were shown."""
        part = (n_images - self._start) / max(self._end - self._start, 1)
        return self._weight + (self._weight_end - self._weight) * min(max(part, 0.0), 1.0)

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (N, C, H, W), about [-1, 1], and their classes (N,) => loss, share that it takes for their class."""
        self._follow(images.device)
        logits = self._network(_clamped((self._moved(images.float()) + 1) / 2))
        losses = F.cross_entropy(logits, labels, reduction="none")
        pushed = losses.detach().neg().exp() < self._until
        return (losses * pushed).mean(), (logits.detach().argmax(dim=1) == labels).float().mean()

    def _moved(self, images: Tensor) -> Tensor:
        """Each image shifted and mirrored at random, by torch's generator."""
        n, _, height, width = images.shape
        dy, dx = torch.randint(-self._shift, self._shift + 1, (2, n, 1), device=images.device)
        rows = _reflected(torch.arange(height, device=images.device) + dy, height)
        columns = _reflected(torch.arange(width, device=images.device) + dx, width)
        if self._mirror:
            mirrored = torch.rand(n, 1, device=images.device) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        image = torch.arange(n, device=images.device)[:, None, None]
        return images[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def _follow(self, device: torch.device) -> None:
        if self._device != device:
            self._network.to(device)
            self._device = device


def _reflected(index: Tensor, size: int) -> Tensor:
    """Places beside 0 .. size - 1 as mirrored at the first or the last one."""
    return size - 1 - (size - 1 - index.abs()).abs()


def _clamped(images: Tensor) -> Tensor:
    """Clamped to [0, 1] as saved images are, with the gradient of the identity: else what is outside stayed there."""
    return images + (images.clamp(0, 1) - images).detach()


def load_guide(cfg: Config) -> Guide | None:
    """The guide that `generator.training.guide` names, if it names one.

    Raises:
        LatregError: there is no such file, or it holds no classifier of the data set's images.
    """
    recipe = cfg.generator.training
    if recipe.guide is None:
        return None
    loaded = load_sut(recipe.guide, cfg.dataset, key="generator.training.guide")
    return Guide(
        loaded.network,
        name_of(recipe.guide),
        loaded.id,
        recipe.guide_weight,
        recipe.guide_weight_end,
        recipe.guide_from,
        recipe.total_images,
        recipe.guide_until,
        recipe.guide_shift,
        cfg.dataset.mirror,
    )
