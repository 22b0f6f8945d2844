"""Groups of images that are alike, and what to read of each: 500 faults are a few things to look at."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def count_groups(features: Floats, apart: float) -> int:
    """Features (N, D) => of how many groups they are, if no two of a group may be further apart (complete linkage)."""
    if len(features) < 2:
        return len(features)
    from scipy.cluster.hierarchy import fcluster, linkage

    return int(fcluster(linkage(features, "complete"), apart, "distance").max())


def group(features: Floats, groups: int) -> NDArray[np.int64]:
    """Features (N, D) => the number of each one's group, (N,) from 0 on, at most `groups` of them (Ward 1963)."""
    if len(features) < 2:
        return np.zeros(len(features), dtype=np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage

    labels: NDArray[np.int64] = fcluster(linkage(features, "ward"), groups, "maxclust").astype(np.int64) - 1
    return labels


def by_centrality(features: Floats, labels: NDArray[np.int64]) -> list[list[int]]:
    """The members of each group, largest group first; its most central member, the one to read, comes first."""
    ranked = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        distances = ((features[members] - features[members].mean(axis=0)) ** 2).sum(axis=1)
        ranked.append(members[distances.argsort(kind="stable")].tolist())
    return sorted(ranked, key=lambda members: (-len(members), members[0]))
