"""Arithmetic on intermediate latents w (N, L, w_dim); nothing here knows a network."""

from collections.abc import Sequence

import torch
from torch import Tensor


def truncate(w: Tensor, center: Tensor, psi: Tensor, cutoff: int | None) -> Tensor:
    """The truncation trick: w' = center + psi (w - center) on the layers below cutoff.

    Args:
        w: (N, L, w_dim).
        center: (N, w_dim), what psi = 0 gives.
        psi: (N,); 1 changes nothing, above 1 moves away from the center.
        cutoff: None = all layers, 0 = none.
    """
    center = center[:, None]
    truncated = center + psi[:, None, None] * (w - center)
    truncated = torch.where((psi == 1)[:, None, None], w, truncated)  # exactly w, whatever rounding does
    if cutoff is None:
        return truncated
    return torch.cat([truncated[:, :cutoff], w[:, cutoff:]], dim=1)


def mix(w: Tensor, partner: Tensor, mask: Tensor, alpha: Tensor) -> Tensor:
    """Style mixing: (1 - alpha) w + alpha partner on the layers in mask, w elsewhere.

    Args:
        w, partner: (N, L, w_dim).
        mask: (N, L) bool.
        alpha: (N,) in [0, 1].
    """
    alpha = alpha[:, None, None]
    return torch.where(mask[:, :, None], (1 - alpha) * w + alpha * partner, w)


def layer_mask(layer_sets: Sequence[Sequence[int]], num_ws: int) -> Tensor:
    """Sets of layer numbers => (N, num_ws) bool."""
    rows = [[layer in layers for layer in range(num_ws)] for layers in layer_sets]
    return torch.tensor(rows, dtype=torch.bool).view(-1, num_ws)
