"""How different the faults of a search are: distances, cells of the real data that they reach, and groups to read.

All of it is measured in what classifiers of the judge see, and bears that name: the distance has the formula of LPIPS
with weights of 1 (arXiv 1801.03924, eq. 1), but another network, so it is no LPIPS. That stands beside it if asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2, vq
from scipy.spatial.distance import pdist
from torch import Tensor

from latreg.classifier.networks import Classifier
from latreg.groups import Floats, count_groups
from latreg.images import to_unit

CELLS = 50  # of the real images
BATCH = 100
ToVectors = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Diversity:
    """How different n images are."""

    n: int
    judge_distance: float | None  # mean over pairs, None for fewer than two
    judge_distance_ci95: list[float] | None  # bootstrap over the images, None for fewer than three
    cells_reached: int | None  # of `cells`
    cells: int | None  # None = there are no real images
    groups: int | None  # of images no further apart than two real ones of a cell; None = there are no real images
    lpips: float | None = None  # mean over pairs and its interval, as above; None also where it is not asked for
    lpips_ci95: list[float] | None = None


@dataclass(frozen=True, eq=False)
class Placed:
    """Images in the space of faults, from which any part of them is measured without another look."""

    distances: Floats  # (N, N), of the formula
    features: Floats  # (N, D), what the network's last layer sees
    cells: NDArray[np.int64] | None  # (N,), the cell of the real images in which each lies; None = there are none
    cells_in_all: int | None
    apart: float  # how far two of a group may be
    lpips: Floats | None  # (N, N); None = not asked for

    def where(self, chosen: NDArray[np.bool_]) -> "Placed":
        """Some of them, by a mask (N,)."""
        cells = None if self.cells is None else self.cells[chosen]
        pairs = np.ix_(chosen, chosen)
        lpips = None if self.lpips is None else self.lpips[pairs]
        return replace(self, distances=self.distances[pairs], features=self.features[chosen], cells=cells, lpips=lpips)

    def measure(self) -> Diversity:
        """All measures."""
        distance, interval = mean_distance(self.distances)
        lpips, lpips_interval = (None, None) if self.lpips is None else mean_distance(self.lpips)
        reached = None if self.cells is None else len(np.unique(self.cells))
        groups = None if self.cells is None else count_groups(self.features, self.apart)
        n = len(self.features)
        return Diversity(n, distance, interval, reached, self.cells_in_all, groups, lpips, lpips_interval)


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of like images."""

    centers: Floats  # (K, D)
    apart: float  # the distance of two images of a cell, median

    @classmethod
    def of(cls, features: Floats, cells: int) -> "Cells":
        """Divide images with features (N, D) by k-means."""
        centers, cell = kmeans2(features, cells, minit="++", seed=0)
        first, second = np.triu_indices(len(features), 1)  # the order of pdist
        return cls(centers, float(np.median(pdist(features)[cell[first] == cell[second]])))


class FaultSpace:
    """The space that images are compared in.

    Args:
        network: of a member of the judge.
        real: images (N, C, H, W) uint8, N well above `cells`; None = none at hand, so there are no cells.
        cells: into how many the real images are divided by k-means.
        lpips: images (N, C, H, W) in [0, 1] => vectors whose squared distances are LPIPS; None = not measured.
    """

    def __init__(
        self, network: Classifier, real: Tensor | None, cells: int = CELLS, lpips: ToVectors | None = None
    ) -> None:
        self._network = network.eval()
        self._device = next(network.parameters()).device
        self._real = real
        self._count = None if real is None else cells
        self._lpips = lpips

    @cached_property
    def _cells(self) -> Cells | None:
        if self._real is None or self._count is None:
            return None
        return Cells.of(self.features(self._real), self._count)

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

    def place(self, images: Sequence[NDArray[np.uint8]]) -> Placed:
        """Where images (C, H, W) lie."""
        if not images:
            nowhere = None if self._count is None else np.empty(0, dtype=np.int64)
            nothing = np.empty((0, 0))
            return Placed(nothing, nothing, nowhere, self._count, apart=0.0, lpips=nothing if self._lpips else None)
        batch = torch.from_numpy(np.stack(images))
        features, cells = self.features(batch), self._cells
        nearest = None if cells is None else vq(features, cells.centers)[0].astype(np.int64)
        apart = 0.0 if cells is None else cells.apart
        lpips = distances(self._lpips(to_unit(batch)).double().numpy()) if self._lpips else None
        return Placed(distances(self.vectors(batch)), features, nearest, self._count, apart, lpips)


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
