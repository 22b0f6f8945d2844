"""Which part of a feature space the faults of a search reach, in a partition that no judge has a say in."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latreg.data.images import to_unit
from latreg.evaluation.diversity import CELLS, Cells
from latreg.validity.density import ClassDensity
from latreg.zoo.weights import sha256_of

EQUAL_N = 10  # faults that are drawn of each search, since more of them reach more cells


class FeatureCells:
    """Cells of real images in the features of the density's network, which is neither SUT nor judge.

    Args:
        density: whose features they are.
        real: images (N, C, H, W) uint8, always the same ones, N well above `cells`.
        cells: into how many they are divided by k-means.
        kept: a folder for files with cells, which each search would else find again; None = they are not kept.
    """

    def __init__(self, density: ClassDensity, real: Tensor, cells: int = CELLS, kept: Path | None = None) -> None:
        self._density = density
        self._real = real
        self._kept = kept
        self.count = cells

    @cached_property
    def _cells(self) -> Cells:
        def make() -> Cells:
            return Cells.of(self._features(self._real), self.count)

        if self._kept is None:
            return make()
        digest = sha256_of({**self._density.network.state_dict(), "real": self._real})
        return Cells.kept(self._kept / f"{digest}_{self.count}.npz", make)

    def _features(self, images: Tensor) -> NDArray[np.float64]:
        return self._density.features(to_unit(images)).double().numpy()

    def of(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.intp]:
        """The cell (N,) of each image (C, H, W)."""
        if not images:
            return np.zeros(0, dtype=np.intp)
        return self._cells.nearest(self._features(torch.from_numpy(np.stack(images))))


def coverage(reached: NDArray[np.intp], count: int, n: int = EQUAL_N) -> float | None:
    """The share of cells that n faults reach, the mean over all draws of n of them; None if there are fewer.

    Rarefaction (Hurlbert 1971, eq. 1): a cell with k of N faults is missed by (N - k over n) of the (N over n) draws.

    Args:
        reached: the cell (N,) of each fault.
        count: of cells, those that nothing reaches included.
        n: so many faults are drawn.
    """
    total = len(reached)
    if total < n:
        return None
    sizes = np.bincount(reached, minlength=count)
    steps = np.arange(n)
    missed = np.prod(np.maximum(total - sizes[:, None] - steps, 0) / (total - steps), axis=1)
    return float((1 - missed).sum() / count)
