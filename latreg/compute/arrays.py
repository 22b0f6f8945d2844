"""Tensors as the arrays that compiled code reads and writes, and threads that run it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.compute.kernels import COLUMNS, Array


def as_array(x: Tensor) -> Array:
    """A tensor on a CPU as float32, C-contiguous."""
    array: Array = x.float().contiguous().numpy()
    return array


def packed(weights: Tensor) -> Array:
    """Weights (P, Q, I, O) as the products read them, (P Q, panels, I, COLUMNS)."""
    filled = filled_columns(weights.flatten(0, 1))
    return as_array(filled.view(*filled.shape[:2], -1, COLUMNS).transpose(1, 2))


def filled_columns(weights: Tensor) -> Tensor:
    """Zeros behind the outputs (.., O) up to a multiple of COLUMNS."""
    return F.pad(weights, (0, -weights.shape[-1] % COLUMNS))


def run(kernel: Callable[..., None], arguments: tuple[object, ...], y: Tensor, alone: bool = False) -> None:
    """Compute all rows or images of y, with as many threads as torch has.

    Args:
        kernel: takes the arguments, the first one and the end of a range of y, and y.
        arguments: that it takes before.
        y: (N, ..).
        alone: in one thread, where there is too little work for several.
    """
    threads = 1 if alone else min(torch.get_num_threads(), len(y))
    if threads <= 1:
        kernel(*arguments, 0, len(y), y.numpy())
        return
    ends = [len(y) * i // threads for i in range(threads + 1)]
    list(_pool(threads).map(lambda first, end: kernel(*arguments, first, end, y.numpy()), ends[:-1], ends[1:]))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)
