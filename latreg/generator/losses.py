"""Losses of StyleGAN2 training, each a function of network outputs (Karras et al., arXiv 1912.04958)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss of G: -log sigmoid(D(G(z)))."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Logistic loss of D: -log sigmoid(D(x)) - log(1 - sigmoid(D(G(z))))."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def r1_penalty(real: Tensor | Sequence[Tensor], real_logits: Tensor) -> Tensor:
    """Half the mean squared gradient norm of D at what is real (R1 of Mescheder et al., arXiv 1801.04406).

    real, images or feature maps, must require gradients and have produced real_logits.
    """
    gradients = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    squares = torch.stack([gradient.square().sum(dim=(1, 2, 3)) for gradient in gradients])
    return squares.sum(dim=0).mean() / 2


def path_lengths(images: Tensor, ws: Tensor) -> Tensor:
    """Norms of J_w^T y for random images y, (N,): the path lengths of section 3.2."""
    height, width = images.shape[-2:]
    noise = torch.randn_like(images) / math.sqrt(height * width)
    (gradient,) = torch.autograd.grad((images * noise).sum(), ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()
