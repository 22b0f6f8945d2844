"""Layers of networks as products of rows, each of which comes out the same whatever lies beside it.

The libraries behind torch choose a kernel by the number of rows, and treat those at the edge of a block otherwise than
those within: so the last bits of an answer would depend on how many images are asked about, and on their places.
Feature maps are (N, H, W, C).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.compute import kernels
from latreg.compute.arrays import as_array, packed, run
from latreg.compute.batches import filled

ROWS_AT_ONCE = 128
LITTLE = 2**20  # multiplications that are not worth several threads


class RowProduct:
    """rows (N, I) => rows @ matrix + bias (N, O).

    Args:
        matrix: (I, O); it must not change any more.
        bias: (O,), None = 0.
    """

    def __init__(self, matrix: Tensor, bias: Tensor | None = None) -> None:
        self._matrix = matrix.detach()
        self._bias = matrix.new_zeros(matrix.shape[1]) if bias is None else bias.detach()
        self._on_cpu = matrix.device.type == "cpu"
        if self._on_cpu:
            self._arrays = packed(self._matrix[None, None]), as_array(self._bias), ROWS_AT_ONCE

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply.

        Raises:
            ValueError: the rows have another length.
        """
        inputs, outputs = self._matrix.shape
        if rows.ndim != 2 or rows.shape[1] != inputs:  # compiled code would read beyond them
            raise ValueError(f"expected rows (N, {inputs}), got {tuple(rows.shape)}")
        if not self._on_cpu:
            return torch.addmm(self._bias, filled(rows), self._matrix)[: len(rows)]
        y = torch.empty(len(rows), outputs, dtype=torch.float32)
        run(kernels.rows, (as_array(rows), *self._arrays), y, alone=len(rows) * inputs * outputs < LITTLE)
        return y


class PatchConvolution:
    """`F.conv2d` of any size and stride, on a CPU.

    Args:
        weight: (O, I, K, L).
        bias: (O,), None = 0.
        stride, padding: along both axes.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, stride: tuple[int, int] = (1, 1), padding: tuple[int, int] = (0, 0)
    ) -> None:
        self._outputs, _, *self._size = weight.shape
        self._stride, self._padding = stride, padding
        self._product = RowProduct(weight.permute(2, 3, 1, 0).flatten(0, 2), bias)

    def __call__(self, x: Tensor) -> Tensor:
        """x (N, H, W, I) => (N, .., .., O)."""
        x = _padded(x, self._padding)
        for axis, (size, stride) in enumerate(zip(self._size, self._stride, strict=True), start=1):
            x = x.unfold(axis, size, stride)
        x = x.permute(0, 1, 2, 4, 5, 3)  # N, H, W, K, L, I
        return self._product(x.reshape(-1, x.shape[3:].numel())).view(*x.shape[:3], self._outputs)


def pixels_times(x: Tensor, weight: Tensor) -> Tensor:
    """Pixels (N, P, I) of each image times its own weight (N, O, I) => (N, O, P)."""
    if x.device.type != "cpu" or x.shape[1] % kernels.ROWS:
        return torch.bmm(weight, x.transpose(1, 2))
    y = torch.empty(len(x), weight.shape[1], x.shape[1], dtype=torch.float32)
    run(kernels.skips, (as_array(x), as_array(weight)), y)
    return y


def _padded(x: Tensor, padding: tuple[int, int]) -> Tensor:
    """Zeros around maps (N, H, W, C)."""
    rows, columns = padding
    return F.pad(x, (0, 0, columns, columns, rows, rows)) if rows or columns else x
