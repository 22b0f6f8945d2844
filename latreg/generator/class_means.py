"""Means of w over fresh latents, which truncation shrinks towards."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.generator.networks import GeneratorNetwork, MappingNetwork

W_AVG_SAMPLES = 100_000


@torch.no_grad()
def class_means(mapping: MappingNetwork, samples: int = W_AVG_SAMPLES) -> Tensor:
    """The mean w of each class (K, w_dim), over samples / K latents each."""
    rng = np.random.RandomState(0)
    per_class = samples // mapping.c_dim
    means = torch.empty_like(mapping.w_avg_class)
    for label in range(mapping.c_dim):
        z = torch.from_numpy(rng.randn(per_class, mapping.z_dim).astype(np.float32)).to(means.device)
        c = F.one_hot(torch.full((per_class,), label, device=means.device), mapping.c_dim).float()
        means[label] = mapping(z, c).mean(dim=0)
    return means


@torch.no_grad()
def measure_w_avg(network: GeneratorNetwork, samples: int = W_AVG_SAMPLES) -> None:
    """Replace the running means of w by means over fresh latents: of each class, and over all classes."""
    network.mapping.w_avg_class.copy_(class_means(network.mapping, samples))
    network.mapping.w_avg.copy_(network.mapping.w_avg_class.mean(dim=0))
