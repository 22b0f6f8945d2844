"""Random changes to training images, for a whole batch at once and on its device.

What is drawn comes from a numpy generator on the CPU, so it is the same on every device.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def random_affine(images: Tensor, rng: np.random.Generator, max_shift: int, max_rotation: float, flip: bool) -> Tensor:
    """Turn, mirror and shift each image (N, C, H, W) by itself; what comes in from outside is its reflection.

    Args:
        images: floats in [0, 1], square.
        rng: source of the random numbers.
        max_shift: whole pixels, each way on both axes.
        max_rotation: degrees, each way.
        flip: mirror left and right half of the images.
    """
    n, resolution = len(images), images.shape[-1]
    angle = np.deg2rad(rng.uniform(-max_rotation, max_rotation, n))
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0) if flip else np.ones(n)
    shift = rng.integers(-max_shift, max_shift, size=(n, 2), endpoint=True) * 2 / resolution
    rows = [
        np.stack([mirror * np.cos(angle), -np.sin(angle), shift[:, 0]], axis=1),
        np.stack([mirror * np.sin(angle), np.cos(angle), shift[:, 1]], axis=1),
    ]
    theta = torch.from_numpy(np.stack(rows, axis=1)).to(images)  # (N, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def cutout(images: Tensor, rng: np.random.Generator, side: int) -> Tensor:
    """Blacken one square per image, at most side x side pixels: it may hang over the border (DeVries & Taylor 2017)."""
    n, resolution = len(images), images.shape[-1]
    centre = torch.from_numpy(rng.integers(0, resolution, size=(n, 2, 1))).to(images.device)
    pixel = torch.arange(resolution, device=images.device)
    first = centre - side // 2
    inside = (pixel >= first) & (pixel < first + side)  # (N, 2, resolution)
    square = inside[:, 0, :, None] & inside[:, 1, None, :]
    return images.masked_fill(square[:, None], 0.0)
