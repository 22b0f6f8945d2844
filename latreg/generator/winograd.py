"""3x3 convolutions with fewer products, by Winograd's minimal filtering (Lavin and Gray, arXiv 1509.09308).

Along an axis, maps are split into parts, each part is multiplied by weights of its own, and the products are joined.
Four results next to each other take 6 products for a pair of channels instead of 12; eight of an upsampling convolution
take 9 instead of 12. So along both axes it is a quarter and 9/16 of the products. Splitting and joining cost a fixed
share of that again, and below 256 channels eat up the gain.

Tiles have 4 inputs. Their points are 0, 1, -1, 2, (-2,) and infinity, so that float32 loses about two digits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.batches import rows_times

MIN_CHANNELS = 256
TILE = 4
PIXELS_AT_ONCE = 8192  # of the input; a dozen times as many floats per channel are kept in between


@dataclass(frozen=True)
class Filtering:
    """How 3 taps meet maps (N, H, W, C) along dimension 1 or 2.

    Args:
        kernel: (parts, 3), from the taps to the weights of each part.
        split: maps, dimension => parts, each of its own size along it.
        join: their products, dimension => results.
        min_side: of maps for which this is faster than the direct convolution.
    """

    kernel: Sequence[Sequence[float]]
    split: Callable[[Tensor, int], Sequence[Tensor]]
    join: Callable[[Sequence[Tensor], int], Tensor]
    min_side: int

    def suits(self, weight: Tensor, side: int) -> bool:
        """Whether a convolution with a weight (O, I, 3, 3) of side x side maps is faster this way."""
        wide = weight.device.type == "cpu" and min(weight.shape[:2]) >= MIN_CHANNELS
        return wide and side % TILE == 0 and side >= self.min_side


class WinogradConvolution:
    """A convolution of (N, H, W, I), H and W multiples of 4, to (N, H', W', O).

    Args:
        weight: (O, I, 3, 3).
        filtering: SAME, as `F.conv2d` with padding 1 does it: H' = H; or UPSAMPLING, as `F.conv_transpose2d` with
            stride 2: H' = 2 H + 1.
    """

    def __init__(self, weight: Tensor, filtering: Filtering) -> None:
        kernel = torch.tensor(filtering.kernel, dtype=torch.float64)
        weights = torch.einsum("ai, ocij, bj -> abco", kernel, weight.detach().double(), kernel)
        self._weights = weights.to(weight.dtype).contiguous()  # for each part in each direction (I, O)
        self._filtering = filtering

    def __call__(self, x: Tensor) -> Tensor:
        at_once = max(PIXELS_AT_ONCE // (x.shape[1] * x.shape[2]), 1)
        results = [self._convolve(images) for images in torch.split(x, at_once)]
        return results[0] if len(results) == 1 else torch.cat(results)

    def _convolve(self, x: Tensor) -> Tensor:
        rows = self._filtering.split(x, 1)
        return self._filtering.join([self._along_rows(*each) for each in zip(rows, self._weights, strict=True)], 1)

    def _along_rows(self, x: Tensor, weights: Tensor) -> Tensor:
        parts = self._filtering.split(x, 2)
        return self._filtering.join([_times(*each) for each in zip(parts, weights, strict=True)], 2)


def _times(part: Tensor, weight: Tensor) -> Tensor:
    """(N, H, W, I) times (I, O) for each pixel."""
    return rows_times(part.flatten(0, 2), weight).view(*part.shape[:3], -1)


def _split_same(x: Tensor, dim: int) -> list[Tensor]:
    d0, d1, d2, d3, d4, d5 = _padded(x, dim, 1, 1).unfold(dim, TILE + 2, TILE).unbind(-1)
    a, b = torch.sub(d4, d2, alpha=4), torch.sub(d3, d1, alpha=4)
    c, d = d4 - d2, d3 - d1
    ends = torch.add(c, d0 - d2, alpha=4), torch.sub(d5 - d3, d, alpha=4)
    return [ends[0], a + b, a - b, torch.add(c, d, alpha=2), torch.sub(c, d, alpha=2), ends[1]]


def _join_same(products: Sequence[Tensor], dim: int) -> Tensor:
    p0, p1, p2, p3, p4, p5 = products
    y = _empty_like(p0, dim, TILE * p0.shape[dim])
    tiles = torch.unflatten(y, dim, (-1, TILE)).unbind(dim + 1)
    _join_points(tiles, p0, (p1 + p2, p1 - p2), (p3 + p4, p3 - p4), p5)
    return y


def _split_upsampling(x: Tensor, dim: int) -> list[Tensor]:
    """Two taps meet at even places, which gives the first five parts, one at odd ones, and one at the last place."""
    d0, d1, d2, d3, d4 = _padded(x, dim, 1, 0).unfold(dim, TILE + 1, TILE).unbind(-1)
    a, b = d3 - d1, d1 - d2
    even = torch.add(a, d0 - d2, alpha=2), a - (d1 + d2), torch.add(a, b, alpha=3), a, torch.sub(d4 - d2, a, alpha=2)
    return [*even, x, x.narrow(dim, -1, 1)]


def _join_upsampling(products: Sequence[Tensor], dim: int) -> Tensor:
    p0, p1, p2, p3, p4, odd, last = products
    size = 2 * odd.shape[dim]
    y = _empty_like(odd, dim, size + 1)
    at_even, at_odd = torch.unflatten(y.narrow(dim, 0, size), dim, (-1, TILE, 2)).unbind(dim + 2)
    _join_points(at_even.unbind(dim + 1), p0, (p1 + p2, p1 - p2), (p3, p3), p4)
    at_odd.copy_(torch.unflatten(odd, dim, (-1, TILE)))
    y.narrow(dim, -1, 1).copy_(last)
    return y


def _join_points(
    results: Sequence[Tensor], zero: Tensor, ones: tuple[Tensor, Tensor], twos: tuple[Tensor, Tensor], infinity: Tensor
) -> None:
    """Fill in the four results of all tiles: the i-th is the sum of the points' products times the points to the i.

    Args:
        results: where they go.
        zero, infinity: products at these points; the latter counts in the last result only.
        ones, twos: those at 1 and -1, and at 2 and -2: their sums, then their differences. Those of `ones` are used up.
    """
    (even, odd), (even2, odd2) = ones, twos
    torch.add(zero + even, even2, out=results[0])
    torch.add(odd, odd2, alpha=2, out=results[1])
    torch.add(even, even2, alpha=4, out=results[2])
    torch.add(odd.add_(infinity), odd2, alpha=8, out=results[3])


def _padded(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    return F.pad(x, (0, 0) * (x.ndim - 1 - dim) + (before, after))


def _empty_like(x: Tensor, dim: int, size: int) -> Tensor:
    return x.new_empty((*x.shape[:dim], size, *x.shape[dim + 1 :]))


SAME = Filtering(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    _split_same,
    _join_same,
    min_side=8,
)
UPSAMPLING = Filtering(
    [[0, 0, 1 / 2], [-1 / 2, 0, -1 / 2], [1 / 6, 0, -1 / 6], [1 / 3, 0, 1 / 6], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
    _split_upsampling,
    _join_upsampling,
    min_side=16,
)
