"""Requests for images, and what of them the layers below some layer depend on."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from latreg.errors import LatregError
from latreg.interfaces import Generator, Proposal, Source

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


def latent_sizes(generator: Generator) -> dict[str, int]:
    """How many numbers a latent has, by its space."""
    return {"z": generator.z_dim, "w": generator.w_avg.shape[-1], "alphas": generator.num_ws}


def check_proposal(proposal: Proposal, generator: Generator) -> None:
    """Refuse a recipe of which a part would be passed over in silence.

    Raises:
        LatregError: it mixes without a partner, beyond the generator's layers or on layers and by a latent at once, or
            its latent is of no space or of another size.
    """
    latent, layers = proposal.latent, proposal.layers
    if latent is not None and (layers or len(latent.values) != latent_sizes(generator).get(latent.space)):
        raise LatregError(
            f"a proposal with a latent must name no layers, and its latent have numbers as in {latent_sizes(generator)}"
            f", got the layers {layers} and {len(latent.values)} numbers of {latent.space!r}"
        )
    if not set(layers) <= set(range(generator.num_ws)):
        raise LatregError(f"a proposal must name layers 0 .. {generator.num_ws - 1}, got {layers}")
    if (layers or (latent and latent.space == "alphas")) and partner_of(proposal) is None:
        raise LatregError(
            "a proposal that mixes must name a partner_z_seed and a rival, got "
            f"{proposal.partner_z_seed} and {proposal.rival}"
        )


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
