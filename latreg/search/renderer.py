"""From recipes to 8-bit images: maps z once, then truncates, mixes and synthesizes in chunks."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from latreg.data.images import quantize
from latreg.errors import LatregError
from latreg.interfaces import Generator, Proposal, Source
from latreg.search.latent import layer_alphas, mix, truncate
from latreg.search.recipes import Request, partner_of
from latreg.search.reuse import LayerwiseGenerator, Memory, ReusingSynthesis, memory_bytes

_Input = tuple[Source, tuple[float, ...]]  # of the mapping: a source, and what is added to its z, () = nothing

CACHED_LATENTS = 10_000  # some 5 KB each, as a z that is mapped alone is mapped in a batch of 8


_RANDOM = np.random.RandomState(0)  # seeded anew for each z, for a new one takes twenty times as long


def latent_z(z_seed: int, z_dim: int) -> np.ndarray:
    """z (z_dim,) of a seed, as NVIDIA's tools draw it: `RandomState(z_seed).randn(1, z_dim)`."""
    _RANDOM.seed(z_seed)
    z: np.ndarray = _RANDOM.randn(z_dim).astype(np.float32)
    return z


class Renderer:
    """Renders requests with one generator, one center and one cutoff.

    Args:
        center: what truncation shrinks towards: "class" (mean w of the class) or "global" (mean over all classes).
        cutoff: layers below it are truncated; None = all, 0 = none.
        chunk: images per forward pass.
        layer_sets: of the mixtures to come, if any; only the speed depends on them.

    Raises:
        LatregError: center is neither, or cutoff lies beyond num_ws.
    """

    def __init__(
        self,
        generator: Generator,
        center: str,
        cutoff: int | None,
        chunk: int,
        layer_sets: Sequence[Sequence[int]] = (),
    ) -> None:
        if center not in ("class", "global"):
            raise LatregError(f"truncation.center must be class or global, got {center!r}")
        if cutoff is not None and not 0 <= cutoff <= generator.num_ws:
            raise LatregError(f"truncation.cutoff must be null or within 0 .. {generator.num_ws}, got {cutoff}")
        self.generator = generator
        self.cutoff = cutoff
        self.chunk = chunk
        classes = generator.num_classes
        self._centers = generator.w_avg_class if center == "class" else generator.w_avg.expand(classes, -1)
        self._latents: dict[_Input, Tensor] = {}
        self._reuse: ReusingSynthesis | None = None
        if isinstance(generator, LayerwiseGenerator):
            memory = Memory(memory_bytes(self._centers.device))
            self._reuse = ReusingSynthesis(generator, self.compose, chunk, memory, layer_sets)

    @torch.inference_mode()
    def render(self, requests: Sequence[Request]) -> Tensor:
        """One or more requests => images (N, C, H, W) uint8 on the generator's device."""
        self._map([_input(r) for r in requests] + [(p, ()) for r in requests if (p := partner_of(r.proposal))])
        images: Tensor | None = None
        for places, batch in self._synthesized(requests):
            levels = quantize(batch)
            if images is None:
                images = levels.new_empty(len(requests), *levels.shape[1:])
            images[places] = levels
        assert images is not None
        return images

    def _synthesized(self, requests: Sequence[Request]) -> Iterator[tuple[list[int], Tensor]]:
        """Float images with their places among the requests."""
        if self._reuse is not None:
            yield from self._reuse(requests)
            return
        for first in range(0, len(requests), self.chunk):
            places = list(range(len(requests)))[first : first + self.chunk]
            yield places, self.generator.synthesize(self.compose([requests[place] for place in places]))

    def compose(self, requests: Sequence[Request]) -> Tensor:
        """Requests => w (N, L, w_dim), truncated and mixed."""
        proposals = [r.proposal for r in requests]
        device = self._centers.device
        psi = torch.tensor([p.psi for p in proposals], device=device, dtype=torch.float32)
        w = self._truncated([_input(r) for r in requests], psi)
        if any(offset := [_added(p) for p in proposals]):
            w = w + torch.tensor([own or (0.0,) * w.shape[-1] for own in offset], device=device)[:, None]
        if not any(p.partner_z_seed is not None for p in proposals):
            return w
        partners: list[_Input] = [(partner_of(r.proposal) or r.source, ()) for r in requests]
        return mix(w, self._truncated(partners, psi), layer_alphas(proposals, self.generator.num_ws).to(device))

    def _truncated(self, inputs: Sequence[_Input], psi: Tensor) -> Tensor:
        self._map(inputs)
        w = torch.stack([self._latents[each] for each in inputs])
        labels = torch.tensor([source.label for source, _ in inputs], device=w.device)
        return truncate(w, self._centers[labels], psi, self.cutoff)

    def _map(self, inputs: Sequence[_Input]) -> None:
        """Find out the w (L, w_dim) of sources; each z is mapped once."""
        if all(each in self._latents for each in inputs):
            return
        if len(self._latents) + len(inputs) > CACHED_LATENTS:
            self._latents.clear()
        new = [each for each in dict.fromkeys(inputs) if each not in self._latents]
        z = np.stack([_moved(latent_z(source.z_seed, self.generator.z_dim), offset) for source, offset in new])
        c = torch.tensor([source.label for source, _ in new], device=self._centers.device)
        w = self.generator.map(torch.from_numpy(z).to(self._centers.device), c)
        self._latents.update(zip(new, w, strict=True))


def _input(request: Request) -> _Input:
    """That of a request's own w, whatever is mixed into it."""
    latent = request.proposal.latent
    return request.source, latent.values if latent is not None and latent.space == "z" else ()


def _added(proposal: Proposal) -> tuple[float, ...]:
    """What is added to w on all layers, () = nothing."""
    latent = proposal.latent
    return latent.values if latent is not None and latent.space == "w" else ()


def _moved(z: np.ndarray, offset: tuple[float, ...]) -> np.ndarray:
    return z + np.asarray(offset, np.float32) if offset else z
