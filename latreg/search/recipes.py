"""Requests for images, and what of them the layers below some layer depend on."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from latreg.interfaces import Proposal, Source

Prefix = tuple[Hashable, ...]


@dataclass(frozen=True)
class Request:
    """One image to render."""

    source: Source
    proposal: Proposal


def partner_of(proposal: Proposal) -> Source | None:
    """The partner of a mixture as a source of the rival class."""
    if proposal.partner_z_seed is None or proposal.rival is None:
        return None
    return Source(proposal.rival, proposal.partner_z_seed)


def prefix(request: Request, layer: int) -> Prefix:
    """What the latents below a layer depend on: where two requests share it, they share the layers' results."""
    source, proposal = request.source, request.proposal
    layers = sorted(i for i in proposal.layers if i < layer)
    if proposal.latent is not None:
        return layer, source.label, source.z_seed, proposal
    if not layers:
        return layer, source.label, source.z_seed, proposal.psi
    partner = proposal.rival, proposal.partner_z_seed, proposal.alpha
    return layer, source.label, source.z_seed, proposal.psi, *partner, *layers


def cut(request: Request, layer: int) -> Request:
    """A request for the same latents below a layer, and for the source's own from there on."""
    layers = tuple(i for i in request.proposal.layers if i < layer)
    return Request(request.source, replace(request.proposal, layers=layers))


def unmixed(request: Request) -> Request:
    """The request without its partner."""
    return Request(request.source, Proposal(request.proposal.psi))


def replaced(request: Request) -> Request:
    """The request with its layers taken from the partner alone."""
    return Request(request.source, replace(request.proposal, alpha=1.0))


def blends(request: Request) -> bool:
    """Whether some layers lie between source and partner."""
    return bool(request.proposal.layers) and request.proposal.alpha != 1
