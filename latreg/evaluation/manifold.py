"""How far the features of two sets of images overlap: improved precision and recall, density and coverage.

Each set is taken for the union of balls around its points, which reach as far as their k-th nearest neighbour in the
set. Precision and recall ask whether a point lies in any ball of the other set (arXiv 1904.06991, eq. 1 and 2); density
counts the real balls that it lies in, so that one outlier's large ball weighs little, and coverage asks which real
balls hold a generated point (arXiv 2002.09797). A point on the surface is inside, as the first paper has it; this
matters only where distances tie, as between copies.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from latreg.errors import LatregError

NEAREST = 3  # the k of precision and recall as published; density and coverage were published with 5
CHUNK = 1000  # points whose distances to all others are in memory at once: 40 MB where the others are 10,000


@torch.inference_mode()
def overlap(real: Tensor, generated: Tensor, k: int = NEAREST, chunk: int = CHUNK) -> dict[str, float]:
    """Precision, recall, density and coverage of generated features against real ones.

    Where both are drawn from one distribution, the expected density is 1, and the expected coverage 1 - 2^-k for two
    large sets of one size: 0.875 for k = 3 (Lemmas 1 and 2 of 2002.09797). In general the results depend on the sizes
    of the sets, so compare what was measured with the same ones.

    Args:
        real: features (N, D).
        generated: features (M, D).
        k: which nearest neighbour a ball reaches to, itself not counted.
        chunk: points whose distances are computed at once; it does not change the result.

    Raises:
        LatregError: a set has other dimensions, k points or fewer, or values that are not finite.
    """
    _check(real, generated, k)
    inside_any_generated = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    holds_generated = torch.zeros_like(inside_any_generated)
    real_balls_around = torch.zeros(len(generated), dtype=torch.long, device=real.device)
    real_radii, generated_radii = radii(real, k, chunk), radii(generated, k, chunk)
    for rows, distances in _distances(real, generated, chunk):
        inside_real = distances <= real_radii[rows, None]
        real_balls_around += inside_real.sum(dim=0)
        holds_generated[rows] = inside_real.any(dim=1)
        inside_any_generated[rows] = (distances <= generated_radii).any(dim=1)
    return {
        "precision": _mean(real_balls_around > 0),
        "recall": _mean(inside_any_generated),
        "density": _mean(real_balls_around) / k,
        "coverage": _mean(holds_generated),
    }


def radii(points: Tensor, k: int = NEAREST, chunk: int = CHUNK) -> Tensor:
    """Points (N, D) => distance of each to its k-th nearest neighbour among the others (N,)."""
    # The point itself is at distance 0, so the nearest k + 1 are it and its k neighbours.
    nearest = [distances.topk(k + 1, largest=False).values[:, k] for _, distances in _distances(points, points, chunk)]
    return torch.cat(nearest)


def _distances(a: Tensor, b: Tensor, chunk: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows of a and their distances to all of b (rows, M).

    Computed from differences, not from products: copies are at distance 0, and a pair's distance is the same wherever
    it is computed, so a neighbour is never outside the ball that it defines.
    """
    for start in range(0, len(a), chunk):
        rows = slice(start, start + chunk)
        yield rows, torch.cdist(a[rows], b, compute_mode="donot_use_mm_for_euclid_dist")


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _check(real: Tensor, generated: Tensor, k: int) -> None:
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise LatregError(
            "real and generated features must have the shapes (N, D) and (M, D), "
            f"got {tuple(real.shape)} and {tuple(generated.shape)}"
        )
    if not 1 <= k < min(len(real), len(generated)):
        raise LatregError(
            f"k must be at least 1 and less than the number of points, got k = {k} "
            f"for {len(real)} real and {len(generated)} generated ones"
        )
    if not (real.isfinite().all() and generated.isfinite().all()):
        raise LatregError("features must be finite, got infinite or undefined ones")
