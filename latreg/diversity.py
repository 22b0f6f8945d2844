"""How different the faults of a search are: distances, cells of the real data that they reach, and groups to read.

All of it is measured in what classifiers of the judge see, and bears that name: the distance has the formula of LPIPS
with weights of 1 (arXiv 1801.03924, eq. 1), but another network, so it is no LPIPS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.cluster.vq import kmeans2, vq
from torch import Tensor

from latreg.classifier.networks import Classifier
from latreg.images import to_unit

CELLS = 50  # of the real images
GROUPS = 20  # of faults, at most: as many as a person reads
BATCH = 100
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Diversity:
    """How different n images are."""

    n: int
    judge_distance: float | None  # mean over pairs, None for fewer than two
    judge_distance_ci95: tuple[float, float] | None  # bootstrap over the images
    cells_reached: int  # of `cells`
    cells: int
    groups: int  # in which the images fall


class FaultSpace:
    """The space that images are compared in.

    Args:
        network: of a member of the judge.
        real: images (N, C, H, W) uint8, N well above `cells`.
        cells: into how many the real images are divided by k-means.
    """

    def __init__(self, network: Classifier, real: Tensor, cells: int = CELLS) -> None:
        self._network = network.eval()
        self._centers, _ = kmeans2(self.features(real), cells, minit="++", seed=0)

    @torch.inference_mode()
    def features(self, images: Tensor) -> Floats:
        """Images (N, C, H, W) uint8 => what the network's last layer sees (N, D)."""
        chunks = [self._network.features(to_unit(chunk)) for chunk in torch.split(images, BATCH)]
        return torch.cat(chunks).double().numpy()

    @torch.inference_mode()
    def vectors(self, images: Tensor) -> Floats:
        """Images (N, C, H, W) uint8 => vectors (N, D) whose squared distances are those of the formula."""
        return torch.cat([self._vectors(to_unit(chunk)) for chunk in torch.split(images, BATCH)]).double().numpy()

    def _vectors(self, images: Tensor) -> Tensor:
        maps = self._network.feature_maps(images)
        unit = [m / m.norm(dim=1, keepdim=True).clamp_min(1e-10) for m in maps]
        return torch.cat([(m / (m.shape[2] * m.shape[3]) ** 0.5).flatten(1) for m in unit], dim=1)

    def cells(self, images: Tensor) -> NDArray[np.int64]:
        """The number of the cell of the real images in which each image lies, (N,)."""
        features = self.features(images)
        nearest: NDArray[np.int64] = vq(features, self._centers)[0].astype(np.int64)
        return nearest

    def measure(self, images: Sequence[NDArray[np.uint8]]) -> Diversity:
        """All measures of images (C, H, W)."""
        if not images:
            return Diversity(0, None, None, 0, len(self._centers), 0)
        batch = torch.from_numpy(np.stack(images))
        distance, interval = mean_distance(self.vectors(batch))
        reached = len(np.unique(self.cells(batch)))
        groups = len(np.unique(group(self.features(batch))))
        return Diversity(len(images), distance, interval, reached, len(self._centers), groups)


def mean_distance(
    vectors: Floats, resamples: int = 1000, run_seed: int = 0
) -> tuple[float | None, tuple[float, float] | None]:
    """Mean squared distance over all pairs of different vectors (N, D), and its 95 % interval; None for N < 2.

    The interval is a bootstrap over the vectors; pairs of a vector with its own copy do not count.
    """
    n = len(vectors)
    if n < 2:
        return None, None
    squares = (vectors**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0)
    np.fill_diagonal(distances, 0)
    counts = np.random.default_rng(run_seed).multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)
    pairs = n**2 - (counts**2).sum(axis=1)
    sums = np.einsum("ri,ri->r", counts @ distances, counts)
    means = sums[pairs > 0] / pairs[pairs > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(distances.sum() / (n * (n - 1))), (float(low), float(high))


def group(features: Floats, groups: int = GROUPS) -> NDArray[np.int64]:
    """Features (N, D) => the number of each one's group, (N,) from 0 on, at most `groups` of them (Ward 1963)."""
    if len(features) < 2:
        return np.zeros(len(features), dtype=np.int64)
    labels: NDArray[np.int64] = fcluster(linkage(features, "ward"), groups, "maxclust").astype(np.int64) - 1
    return labels


def medoids(features: Floats, labels: NDArray[np.int64]) -> list[int]:
    """The most central member of each group, largest group first: what to read of it."""
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        center = features[members].mean(axis=0)
        nearest = members[((features[members] - center) ** 2).sum(axis=1).argmin()]
        chosen.append((-len(members), int(nearest)))
    return [index for _, index in sorted(chosen)]
