"""Arithmetic on intermediate latents w (N, L, w_dim); nothing here knows a network."""

from collections.abc import Sequence

import torch
from torch import Tensor

from latreg.interfaces import Proposal


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


def mix(w: Tensor, partner: Tensor, alphas: Tensor) -> Tensor:
    """Style mixing: (1 - alpha) w + alpha partner.

    Args:
        w, partner: (N, L, w_dim).
        alphas: (N, L) in [0, 1]; exactly w where 0, exactly the partner where 1.
    """
    alphas = alphas[:, :, None]
    return (1 - alphas) * w + alphas * partner


def layer_alphas(proposals: Sequence[Proposal], num_ws: int) -> Tensor:
    """How much of the partner each layer takes => (N, num_ws)."""
    return torch.tensor([_alphas(proposal, num_ws) for proposal in proposals], dtype=torch.float32).view(-1, num_ws)


def _alphas(proposal: Proposal, num_ws: int) -> Sequence[float]:
    if proposal.latent is not None and proposal.latent.space == "alphas":
        return proposal.latent.values
    return [proposal.alpha if layer in proposal.layers else 0.0 for layer in range(num_ws)]
