"""3x3 convolutions with fewer products, by Winograd's minimal filtering (Lavin and Gray, arXiv 1509.09308).

Along an axis, pixels are added up to points, points are multiplied by weights of their own, and the products are added
up to results: four results next to each other take 6 products for a pair of channels instead of 12, eight of an
upsampling convolution 9 instead of 12. So along both axes it is a quarter and 9/16 of the products.

A weight of a point p, for taps t0, t1, .. of a filter, is the polynomial t0 + t1 p + .. over the product of the
differences between p and the other finite points; at infinity it is the last tap. As the points are chosen here,
rounding errors are those of a direct convolution.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latreg.compute import kernels
from latreg.compute.arrays import as_array, filled_columns, packed, run
from latreg.compute.kernels import TILE, Array

TILES_AT_ONCE = 128  # whose points are in memory: few stay in the caches, many spread the cost of reading weights

_R, _R2 = 0.5**0.5, 2**0.5
SAME_KERNEL = (  # from three taps to the weights of the points
    (1, 0, 0),
    (-2 / 3, -2 / 3 * _R, -1 / 3),
    (-2 / 3, 2 / 3 * _R, -1 / 3),
    (1 / 6, 1 / 6 * _R2, 1 / 3),
    (1 / 6, -1 / 6 * _R2, 1 / 3),
    (0, 0, 1),
)
UPSAMPLING_KERNEL = (  # at even places two taps meet, from the last to the first; at odd ones there is one
    (-8 / 21, 0, -16 / 21),
    (-8 / 21, 0, 16 / 21),
    (8 / 21, 0, 32 / 105),
    (8 / 21, 0, -32 / 105),
    (1, 0, 0),
    (0, 1, 0),
)


class SameConvolution:
    """`F.conv2d` with padding 1, of maps on a CPU whose channels are scaled before.

    Args:
        weight: (O, I, 3, 3).
        bias: (O,), None = 0.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        weight = weight.detach()
        self._outputs, self._inputs = weight.shape[:2]
        self._weights = packed(_transformed(weight, SAME_KERNEL))
        self._bias = as_array(torch.zeros(len(weight)) if bias is None else bias.detach())

    def __call__(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """x (N, H, W, I), scale (N, I), None = 1 => (N, H, W, O).

        Raises:
            ValueError: x or scale have another shape.
        """
        scale = x.new_ones((len(x), self._inputs)) if scale is None else scale
        _check(x, scale, self._inputs)
        y = x.new_empty((*x.shape[:3], self._outputs))
        _run(kernels.same, x, scale, self._weights, self._bias, y)
        return y


class UpsamplingConvolution:
    """`F.conv_transpose2d` with stride 2, then a low-pass filter, of maps on a CPU whose channels are scaled before.

    Args:
        weight: (O, I, 3, 3).
        taps: of the filter along either axis, (4,), with one zero around the maps.
    """

    def __init__(self, weight: Tensor, taps: Tensor) -> None:
        weight = weight.detach()
        self._outputs, self._inputs = weight.shape[:2]
        self._taps = as_array(taps)
        even, odd = slice(0, kernels.EVEN_POINTS), slice(kernels.EVEN_POINTS, None)
        w = _transformed(weight, UPSAMPLING_KERNEL)
        self._weights = (
            *(packed(w[rows, columns]) for rows in (even, odd) for columns in (even, odd)),
            *(packed(_side_by_side(taps)) for taps in (weight[:, :, 2, :], weight[:, :, :, 2])),
        )

    def __call__(self, x: Tensor, scale: Tensor) -> Tensor:
        """x (N, H, W, I), H and W multiples of 4, scale (N, I) => (N, 2 H, 2 W, O).

        Raises:
            ValueError: x or scale have another shape.
        """
        _check(x, scale, self._inputs)
        n, height, width, _ = x.shape
        if height % TILE or width % TILE:
            raise ValueError(f"expected maps whose sides are multiples of {TILE}, got {height} x {width}")
        y = x.new_empty((n, 2 * height, 2 * width, self._outputs))
        _run(kernels.upsampling, x, scale, self._weights, self._taps, y)
        return y


def _transformed(weight: Tensor, kernel: Sequence[Sequence[float]]) -> Tensor:
    """Weights (O, I, 3, 3) => those of the points in both directions, (P, P, I, O)."""
    k = torch.tensor(kernel, dtype=torch.float64)
    return torch.einsum("ai, ocij, bj -> abco", k, weight.double(), k).to(weight.dtype)


def _side_by_side(taps: Tensor) -> Tensor:
    """The three taps (O, I, 3) of an edge as one weight (1, 1, I, 3 O), each O filled."""
    return filled_columns(taps.permute(2, 1, 0)).transpose(0, 1).flatten(1)[None, None]


def _check(x: Tensor, scale: Tensor, inputs: int) -> None:
    """Compiled code would read beyond them."""
    if x.ndim != 4 or x.shape[3] != inputs or scale.shape != (len(x), inputs):
        expected = f"expected maps (N, H, W, {inputs}) and scales (N, {inputs})"
        raise ValueError(f"{expected}, got {tuple(x.shape)} and {tuple(scale.shape)}")


def _run(kernel: Callable[..., None], x: Tensor, scale: Tensor, weights: object, rest: Array, y: Tensor) -> None:
    run(kernel, (as_array(x), as_array(scale), weights, rest, TILES_AT_ONCE), y)
