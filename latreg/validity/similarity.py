"""How far a test is from the image it started from. Pure functions of float images in [0, 1], (N, C, H, W)."""

import torch
from torch import Tensor

WINDOW = 11  # side of SSIM's Gaussian window, in pixels
SIGMA = 1.5  # its standard deviation
STABILIZERS = (0.01**2, 0.03**2)  # of the two fractions, for values in [0, 1]


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of each pair, (N,) in [-1, 1]; 1 = equal.

    As Wang et al. 2004 and scikit-image: averaged over channels and over the windows that lie inside the image. (These
    lines are ours because importing torchmetrics takes each process of a search two seconds, and its mean adds windows
    over mirrored borders, which are black in padded digits and lift the score.)

    Raises:
        ValueError: the images are not float in [0, 1], differ in shape, or are smaller than the window.
    """
    _check(a, b)
    if min(a.shape[-2:]) < WINDOW:
        raise ValueError(f"images must be at least {WINDOW}x{WINDOW} for SSIM, got {a.shape[-2]}x{a.shape[-1]}")
    x, y = a.double(), b.double()  # in float32 the variances of flat areas cancel
    rows, columns = (_windows(side).to(x) for side in a.shape[-2:])
    means = rows @ torch.stack([x, y, x * x, y * y, x * y]) @ columns.T  # (5, N, C, .., ..)
    mean_x, mean_y, square_x, square_y, product = means.flatten(2)
    covariance = product - mean_x * mean_y
    variances = square_x - mean_x**2 + square_y - mean_y**2
    c1, c2 = STABILIZERS
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    similarity: Tensor = luminance * (2 * covariance + c2) / (variances + c2)
    return similarity.mean(1).to(a.dtype)


def _windows(side: int) -> Tensor:
    """Gaussian weights (side - WINDOW + 1, side) of each window that lies inside a line of pixels."""
    offset = torch.arange(side) - torch.arange(side - WINDOW + 1)[:, None]
    distance = offset.double() - WINDOW // 2
    weights = torch.exp(-(distance**2) / (2 * SIGMA**2)).where((offset >= 0) & (offset < WINDOW), 0.0)
    return weights / weights.sum(1, keepdim=True)


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
