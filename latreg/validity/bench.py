"""Wrong inputs of many kinds, made of real images, which a gate should reject: how many does it?"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.data.images import ImageSet, to_unit

SEED = 0
TILE = 8  # pixels, of those that are shuffled


def wrong_inputs(data: ImageSet) -> dict[str, Tensor]:
    """Kinds of wrong inputs, (N, C, H, W) on the grid of 8 bits in [0, 1], each made of the real images in their order.

    `another class` holds real images of other classes than the labels say.
    """
    rng = torch.Generator().manual_seed(SEED)
    images = to_unit(data.images)
    others = images[_of_another_class(data.labels, rng)]
    half = images.shape[-1] // 2
    made = {
        "another class": others,
        "half and half": (images + others) / 2,
        "left and right": torch.cat([images[..., :half], others[..., half:]], dim=3),
        "quarter turn": images.rot90(1, (2, 3)),
        "negative": 1 - images,
        "shuffled tiles": torch.stack([_shuffled(image, rng) for image in images]),
        "blur of 1 pixel": _blurred(images, 1.0),
        "blur of 2 pixels": _blurred(images, 2.0),
        "noise of 0.1": images + 0.1 * torch.randn(images.shape, generator=rng),
        "noise of 0.2": images + 0.2 * torch.randn(images.shape, generator=rng),
        "nothing but noise": torch.rand(images.shape, generator=rng),
    }
    return {kind: (own.clamp(0, 1) * 255).round() / 255 for kind, own in made.items()}


def rejected(data: ImageSet, accepts: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float]:
    """The share of each kind that a gate rejects, and first of the real images themselves.

    Args:
        data: real images of two classes or more, and their labels.
        accepts: images and labels => a flag each.
    """
    kinds = {"real": to_unit(data.images), **wrong_inputs(data)}
    flags = {kind: accepts(images, data.labels) for kind, images in kinds.items()}
    return {kind: round(1 - float(own.double().mean()), 4) for kind, own in flags.items()}


def _of_another_class(labels: Tensor, rng: torch.Generator) -> Tensor:
    """For each label the position of one that differs."""
    differs = labels[:, None] != labels
    return torch.multinomial(differs.double(), 1, generator=rng)[:, 0]


def _shuffled(image: Tensor, rng: torch.Generator) -> Tensor:
    """(C, H, W) with its tiles in another order."""
    tiles = image.unfold(1, TILE, TILE).unfold(2, TILE, TILE)  # (C, rows, columns, TILE, TILE)
    channels, rows, columns = tiles.shape[:3]
    order = torch.randperm(rows * columns, generator=rng)
    tiles = tiles.flatten(1, 2)[:, order].reshape(channels, rows, columns, TILE, TILE)
    shuffled: Tensor = tiles.permute(0, 1, 3, 2, 4).reshape(channels, rows * TILE, columns * TILE)
    return shuffled


def _blurred(images: Tensor, sigma: float) -> Tensor:
    """By a Gaussian of so many pixels, with the edges mirrored."""
    offsets = torch.arange(-6, 7)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (6, 6, 6, 6), mode="reflect")
    rows = F.conv2d(padded, kernel, groups=images.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=images.shape[1])
