"""Affine warps of images in one band-limited resampling whose gradients can be differentiated again, as R1 does."""

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MARGIN = 5  # pixels around the result that are computed, since the way back is inexact at the very edges
REFLECTION = 2  # aten's number of this padding mode: mirrors at the edges of the border pixels


class BilinearSample(torch.autograd.Function):
    """F.grid_sample of x (N, C, H, W) at grid (N, H', W', 2) with reflection, differentiable any number of times in x.

    It is linear in x, so the derivative of its gradient is the operation itself. torch up to 2.5 at least lacks that.
    The grid gets no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = x.shape
        return F.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return cast(Tensor, _Adjoint.apply(gradients[0], grid, ctx.shape)), None  # type: ignore[no-untyped-call]


class _Adjoint(torch.autograd.Function):
    """The transpose of BilinearSample, from (N, C, H', W') to the given shape."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        like = x.new_zeros(shape)  # only its shape is used
        wanted = [True, False]  # the gradient of x, none of the grid
        backward = torch.ops.aten.grid_sampler_2d_backward
        return cast(Tensor, backward(x.contiguous(), like, grid, 0, REFLECTION, False, wanted)[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return sample(gradients[0].contiguous(), grid), None, None


def sample(x: Tensor, grid: Tensor) -> Tensor:
    """BilinearSample as a function."""
    return cast(Tensor, BilinearSample.apply(x, grid))  # type: ignore[no-untyped-call]


class AffineWarp(nn.Module):
    """Warp square images: to twice the resolution, bilinear samples there, and back; images go on as in mirrors.

    ADA filters with the wavelet sym6. Here a root-raised-cosine kernel doubles the resolution and its least-squares
    inverse halves it: all but orthogonal as well, but symmetric. So the identity, flips, quarter turns and whole pixels
    come out exact up to rounding, and anything between is low-pass filtered on both ways.
    """

    up: Tensor
    down: Tensor

    def __init__(self, resolution: int) -> None:
        super().__init__()
        halving = torch.linalg.pinv(doubling_matrix(resolution + 2 * MARGIN))
        self.register_buffer("up", doubling_matrix(resolution).float(), persistent=False)
        self.register_buffer("down", halving[MARGIN:-MARGIN].float(), persistent=False)

    def forward(self, x: Tensor, matrix: Tensor) -> Tensor:
        """x (N, C, R, R), matrix (N, 3, 3) from places in the result to places in x, in [-1, 1] => (N, C, R, R)."""
        up, down = self.up.to(x.dtype), self.down.to(x.dtype)
        size = down.shape[1]
        widened = matrix[:, :2] * torch.tensor([size / len(up), size / len(up), 1.0], device=x.device)
        grid = F.affine_grid(widened.to(x.dtype), [len(x), 1, size, size], align_corners=False)
        return down @ sample(up @ x @ up.t(), grid) @ down.t()


def doubling_matrix(size: int) -> Tensor:
    """Interpolation of `size` samples, mirrored at the edges, to twice as many: (2 size, size) float64."""
    matrix = torch.zeros(2 * size, size, dtype=torch.float64)
    for row in range(2 * size):
        place = (row - 0.5) / 2
        for tap in range(math.ceil(place - 2), math.floor(place + 2) + 1):
            matrix[row, mirror(tap, size)] += root_raised_cosine(place - tap)
    return matrix / matrix.sum(dim=1, keepdim=True)


def root_raised_cosine(t: float) -> float:
    """The kernel with roll-off 1/2, for t other than 0 and 1/2: its shifts by whole numbers are orthogonal."""
    return (math.sin(math.pi * t / 2) + 2 * t * math.cos(1.5 * math.pi * t)) / (math.pi * t * (1 - 4 * t * t))


def mirror(index: int, size: int) -> int:
    """Where an index beyond 0 .. size - 1 falls in the image reflected at the edges of its border pixels."""
    index %= 2 * size
    return min(index, 2 * size - 1 - index)
