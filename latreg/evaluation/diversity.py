"""How different the faults of a search are: distances, cells of the real data that they reach, and groups to read.

All of it is measured in what classifiers of the judge see, and bears that name: the distance has the formula of LPIPS
with weights of 1 (arXiv 1801.03924, eq. 1), but another network, so it is no LPIPS. That stands beside it if asked for.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latreg.classifier.networks import Classifier
from latreg.data.images import to_unit
from latreg.errors import LatregError
from latreg.measures.groups import Floats, count_groups
from latreg.runs.files import replacing
from latreg.zoo.weights import sha256_of

CELLS = 50  # of the real images
BATCH = 100
ToVectors = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Diversity:
    """How different the images of some faults are."""

    faults_compared: int
    judge_distance: float | None  # mean over pairs, None for fewer than two
    judge_distance_ci95: list[float] | None  # bootstrap over the images, None for fewer than three
    cells_reached: int | None  # of `cells`
    cells: int | None  # None = there are no real images
    groups: int | None  # of images no further apart than two real ones of a cell; None = there are no real images
    lpips: float | None = None  # mean over pairs and its interval, as above; None also where it is not asked for
    lpips_ci95: list[float] | None = None


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of like images."""

    centers: Floats  # (K, D)
    apart: float  # the distance of two images of a cell, median

    @classmethod
    def of(cls, features: Floats, cells: int) -> Self:
        """Divide images with features (N, D) by k-means."""
        from scipy.cluster.vq import kmeans2  # a second of imports, which a search without faults need not wait for
        from scipy.spatial.distance import pdist

        centers, cell = kmeans2(features, cells, minit="++", seed=0)
        first, second = np.triu_indices(len(features), 1)  # the order of pdist
        return cls(centers, float(np.median(pdist(features)[cell[first] == cell[second]])))

    @classmethod
    def kept(cls, path: Path, make: Callable[[], Self]) -> Self:
        """Those that an earlier run has kept in a file; where there are none, they are made, and kept if possible."""
        with suppress(OSError, EOFError, KeyError, ValueError, BadZipFile), np.load(path) as file:
            return cls(file["centers"], float(file["apart"]))
        cells = make()
        with suppress(LatregError), replacing(path) as file:
            np.savez(file, centers=cells.centers, apart=cells.apart)
        return cells

    def nearest(self, features: Floats) -> NDArray[np.intp]:
        """The cells (N,) that images with features (N, D) lie in."""
        from scipy.cluster.vq import vq

        cells: NDArray[np.intp] = vq(features, self.centers)[0].astype(np.intp)
        return cells

    def reached(self, features: Floats) -> int:
        """How many cells images with features (N, D) lie in."""
        return len(np.unique(self.nearest(features)))


class FaultSpace:
    """The space that images are compared in.

    Args:
        network: of a member of the judge.
        real: images (N, C, H, W) uint8, N well above `cells`; None = none at hand, so there are no cells.
        cells: into how many the real images are divided by k-means.
        lpips: images (N, C, H, W) in [0, 1] => vectors whose squared distances are LPIPS; None = not measured.
        kept: a folder for files with cells, which each search would else find again; None = they are not kept.
    """

    def __init__(
        self,
        network: Classifier,
        real: Tensor | None,
        cells: int = CELLS,
        lpips: ToVectors | None = None,
        kept: Path | None = None,
    ) -> None:
        self._network = network.eval()
        self._device = next(network.parameters()).device
        self._real = real
        self._count = None if real is None else cells
        self._lpips = lpips
        self._kept = kept

    @cached_property
    def _cells(self) -> Cells | None:
        real, count = self._real, self._count
        if real is None or count is None:
            return None

        def make() -> Cells:
            return Cells.of(self.features(real), count)

        if self._kept is None:
            return make()
        digest = sha256_of({**self._network.state_dict(), "real": real})
        return Cells.kept(self._kept / f"{digest}_{count}.npz", make)

    @torch.inference_mode()
    def features(self, images: Tensor) -> Floats:
        """Images (N, C, H, W) uint8 => what the network's last layer sees (N, D)."""
        chunks = [self._network.features(chunk) for chunk in self._chunks(images)]
        return torch.cat(chunks).cpu().double().numpy()

    @torch.inference_mode()
    def vectors(self, images: Tensor) -> Floats:
        """Images (N, C, H, W) uint8 => vectors (N, V) whose squared distances are those of the formula."""
        return torch.cat([self._vectors(chunk) for chunk in self._chunks(images)]).cpu().double().numpy()

    def _chunks(self, images: Tensor) -> list[Tensor]:
        return [to_unit(chunk.to(self._device)) for chunk in torch.split(images, BATCH)]

    def _vectors(self, images: Tensor) -> Tensor:
        maps = self._network.feature_maps(images)
        unit = [m / m.norm(dim=1, keepdim=True).clamp_min(1e-10) for m in maps]
        return torch.cat([(m / (m.shape[2] * m.shape[3]) ** 0.5).flatten(1) for m in unit], dim=1)

    def measure(self, images: Sequence[NDArray[np.uint8]]) -> Diversity:
        """How different images (C, H, W) are; memory and time grow with the square of their number."""
        if not images:
            none = None if self._count is None else 0
            return Diversity(0, None, None, none, self._count, none)
        batch = torch.from_numpy(np.stack(images))
        features, cells = self.features(batch), self._cells
        distance, interval = mean_distance(distances(self.vectors(batch)))
        reached = None if cells is None else cells.reached(features)
        groups = None if cells is None else count_groups(features, cells.apart)
        return Diversity(len(images), distance, interval, reached, self._count, groups, *self._measure_lpips(batch))

    def _measure_lpips(self, images: Tensor) -> tuple[float | None, list[float] | None]:
        """Mean over pairs and its interval; None where it is not asked for."""
        if self._lpips is None:
            return None, None
        return mean_distance(distances(self._lpips(to_unit(images)).double().numpy()))


def distances(vectors: Floats) -> Floats:
    """Vectors (N, V) => their squared distances (N, N)."""
    squares = (vectors**2).sum(axis=1)
    found: Floats = np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0)
    np.fill_diagonal(found, 0)
    return found


def mean_distance(
    distances: Floats, resamples: int = 1000, run_seed: int = 0
) -> tuple[float | None, list[float] | None]:
    """Mean over all pairs of different images of distances (N, N), and its 95 % interval.

    The interval is a bootstrap over the images; pairs of an image with its own copy do not count. Both are None for
    N < 2, and the interval for N = 2, where every resample would have the same one pair.
    """
    n = len(distances)
    if n < 2:
        return None, None
    mean = float(distances.sum() / (n * (n - 1)))
    if n == 2:
        return mean, None
    counts = np.random.default_rng(run_seed).multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)
    pairs = n**2 - (counts**2).sum(axis=1)
    sums = np.einsum("ri,ri->r", counts @ distances, counts)
    means = sums[pairs > 0] / pairs[pairs > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return mean, [float(low), float(high)]
