"""How far a test is from the image it started from. Pure functions of float images in [0, 1], (N, C, H, W)."""

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

WINDOW = 11  # side of SSIM's Gaussian window, in pixels
_EDGE = WINDOW // 2


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of each pair, (N,) in [-1, 1]; 1 = equal.

    As Wang et al. 2004 and scikit-image: Gaussian window of sigma 1.5, averaged over channels and over the windows that
    lie inside the image. (torchmetrics' own mean adds windows over mirrored borders, which are black in padded digits
    and lift the score.)

    Raises:
        ValueError: the images are not float in [0, 1], differ in shape, or are smaller than the window.
    """
    _check(a, b)
    if min(a.shape[-2:]) < WINDOW:
        raise ValueError(f"images must be at least {WINDOW}x{WINDOW} for SSIM, got {a.shape[-2]}x{a.shape[-1]}")
    _, windows = structural_similarity_index_measure(
        a, b, data_range=1.0, sigma=1.5, reduction="none", return_full_image=True
    )
    return windows[..., _EDGE:-_EDGE, _EDGE:-_EDGE].mean((1, 2, 3))


def relative_l2(a: Tensor, b: Tensor) -> Tensor:
    """||a - b|| / ||a|| of each pair, (N,), where a is the source.

    Against an all-black source it is infinite, or 0 where b is black too.

    Raises:
        ValueError: the images are not float in [0, 1], or differ in shape.
    """
    _check(a, b)
    distance = (a - b).flatten(1).norm(dim=1)
    return torch.where(distance == 0, 0.0, distance / a.flatten(1).norm(dim=1))


def _check(a: Tensor, b: Tensor) -> None:
    """8-bit images would wrap around in a - b, and 0..255 makes every constant of SSIM meaningless."""
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(f"images must be two (N, C, H, W) of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    for images in (a, b):
        if not images.is_floating_point():
            raise ValueError(f"images must be float in [0, 1], got {images.dtype}")
        if images.numel() and not (images.min() >= 0 and images.max() <= 1):  # also refuses nan
            raise ValueError(f"images must lie in [0, 1], got {images.min():g} to {images.max():g}")
