"""From recipes to 8-bit images: maps z once, then truncates, mixes and synthesizes in chunks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latreg.errors import LatregError
from latreg.images import quantize
from latreg.interfaces import Generator, Proposal, Source
from latreg.search.latent import layer_mask, mix, truncate

CACHED_LATENTS = 50_000  # at 128 floats each, 25 MB


def latent_z(z_seed: int, z_dim: int) -> np.ndarray:
    """z (z_dim,) of a seed, as NVIDIA's tools draw it."""
    z: np.ndarray = np.random.RandomState(z_seed).randn(1, z_dim)[0].astype(np.float32)
    return z


@dataclass(frozen=True)
class Request:
    """One image to render."""

    source: Source
    proposal: Proposal


class Renderer:
    """Renders requests with one generator, one center and one cutoff.

    Args:
        center: what truncation shrinks towards: "class" (mean w of the class) or "global" (mean over all classes).
        cutoff: layers below it are truncated; None = all, 0 = none.
        chunk: images per forward pass.

    Raises:
        LatregError: center is neither, or cutoff lies beyond num_ws.
    """

    def __init__(self, generator: Generator, center: str, cutoff: int | None, chunk: int) -> None:
        if center not in ("class", "global"):
            raise LatregError(f"truncation.center must be class or global, got {center!r}")
        if cutoff is not None and not 0 <= cutoff <= generator.num_ws:
            raise LatregError(f"truncation.cutoff must be null or within 0 .. {generator.num_ws}, got {cutoff}")
        self.generator = generator
        self.cutoff = cutoff
        self.chunk = chunk
        classes = generator.num_classes
        self._centers = generator.w_avg_class if center == "class" else generator.w_avg.expand(classes, -1)
        self._latents: dict[Source, Tensor] = {}

    @torch.inference_mode()
    def render(self, requests: Sequence[Request]) -> Tensor:
        """Requests => images (N, C, H, W) uint8 on the generator's device."""
        chunks = [requests[i : i + self.chunk] for i in range(0, len(requests), self.chunk)]
        self._map([r.source for r in requests] + [p for r in requests if (p := partner_of(r.proposal))])
        return torch.cat([quantize(self.generator.synthesize(self.compose(chunk))) for chunk in chunks])

    def compose(self, requests: Sequence[Request]) -> Tensor:
        """Requests => w (N, L, w_dim), truncated and mixed."""
        sources = [r.source for r in requests]
        proposals = [r.proposal for r in requests]
        device = self._centers.device
        psi = torch.tensor([p.psi for p in proposals], device=device, dtype=torch.float32)
        w = self._truncated(sources, psi)
        if not any(p.layers for p in proposals):
            return w
        partners = [partner_of(p) or s for p, s in zip(proposals, sources, strict=True)]
        mask = layer_mask([p.layers for p in proposals], self.generator.num_ws).to(device)
        alpha = torch.tensor([p.alpha for p in proposals], device=device, dtype=torch.float32)
        return mix(w, self._truncated(partners, psi), mask, alpha)

    def _truncated(self, sources: Sequence[Source], psi: Tensor) -> Tensor:
        w = self._map(sources)
        labels = torch.tensor([s.label for s in sources], device=w.device)
        return truncate(w, self._centers[labels], psi, self.cutoff)

    def _map(self, sources: Sequence[Source]) -> Tensor:
        """Sources => w (N, L, w_dim); each z is mapped once."""
        new = list(dict.fromkeys(s for s in sources if s not in self._latents))
        if len(self._latents) + len(new) > CACHED_LATENTS:
            self._latents.clear()
            new = list(dict.fromkeys(sources))
        if new:
            device = self._centers.device
            z = torch.from_numpy(np.stack([latent_z(s.z_seed, self.generator.z_dim) for s in new])).to(device)
            c = torch.tensor([s.label for s in new], device=device)
            self._latents.update(zip(new, self.generator.map(z, c), strict=True))
        return torch.stack([self._latents[s] for s in sources])


def partner_of(proposal: Proposal) -> Source | None:
    """The partner of a mixture as a source of the rival class."""
    if proposal.partner_z_seed is None or proposal.rival is None:
        return None
    return Source(proposal.rival, proposal.partner_z_seed)
