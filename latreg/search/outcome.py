"""From a finished search to the row that is saved, and from a row back to the recipes of its images."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from latreg.errors import LatregError
from latreg.interfaces import BoundaryPair, BoundaryRecord, Evaluation, Finding, Latent, Proposal, ReportedPair, Source
from latreg.search.criteria import stratum
from latreg.search.engine import SourceSearch
from latreg.search.recipes import Request
from latreg.search.stability import Stability


@dataclass(frozen=True)
class RunContext:
    """What all rows of a run share."""

    run_seed: int
    dataset: str
    strategy: str
    truncation: str
    center: str
    cutoff: int | None
    generator_id: str
    sut_id: str
    judge_id: str | None
    vae_id: str | None
    held_out_id: str | None
    density_id: str | None
    confident_below: float


def to_record(search: SourceSearch, context: RunContext, stability: Stability | None = None) -> BoundaryRecord:
    """The row of a finished search.

    Args:
        stability: of its best pair, None = not measured.

    Raises:
        LatregError: its strategy reported a pair that does not lie on both sides of the boundary.
    """
    start = search.start
    assert start is not None
    for found in search.findings:
        _check_sides(search.source, found.pair)
    return BoundaryRecord(
        run_seed=context.run_seed,
        dataset=context.dataset,
        strategy=context.strategy,
        truncation=context.truncation,
        center=context.center,
        cutoff=context.cutoff,
        generator_id=context.generator_id,
        sut_id=context.sut_id,
        judge_id=context.judge_id,
        vae_id=context.vae_id,
        held_out_id=context.held_out_id,
        density_id=context.density_id,
        label=search.source.label,
        z_seed=search.source.z_seed,
        source_psi=start.proposal.psi,
        accepted=search.rejected_because is None,
        rejected_because=search.rejected_because,
        stratum=stratum(start, context.confident_below),
        source_predicted=start.predicted,
        source_confidence=start.confidence,
        source_margin=start.margin,
        source_probabilities=_floats(start.probabilities),
        source_image=start.image,
        queries=search.queries,
        stopped_by_budget=search.stopped_by_budget,
        flipped=search.best is not None,
        valid_fault=search.best is not None and search.best.valid,
        robust_fault=_robust(search.best, stability),
        walk_queries=sum(found.walk_queries for found in search.findings),
        stability_queries=None if stability is None else stability.queries,
        appraisals=search.appraisals,
        pairs=_reported(search),
        **_pair_fields(search.best),
        **_strength(search.best, stability),
        **_latents(search.best),
    )


def _check_sides(source: Source, pair: BoundaryPair) -> None:
    if not pair.first.flipped or (pair.last is not None and pair.last.flipped):
        answers = [None if image is None else image.predicted for image in (pair.last, pair.first)]
        raise LatregError(
            "a strategy must report an image that the classifier gets wrong, and before it None or one that it gets "
            f"right, got the answers {answers} to images of class {source.label}, z_seed {source.z_seed}"
        )


def _robust(best: Finding | None, stability: Stability | None) -> bool | None:
    """Whether a valid fault is wrong by a wide margin or in every draw; None where the draws would decide."""
    if best is None or not best.valid or best.robust:
        return best is not None and best.valid
    if stability is None:
        return None
    return (stability.first if best.severe is None else stability.severe) == 1


def _pair_fields(best: Finding | None) -> dict[str, Any]:
    """The columns that describe a boundary pair; none where there is none."""
    if best is None:
        return {}
    last, first = best.pair.last, best.pair.first
    fields: dict[str, Any] = {
        **_recipe(best),
        "first_probabilities": _floats(first.probabilities),
        "first_image": first.image,
        "measured": best.verdict.measured,
    }
    if last is not None:
        fields |= {"last_probabilities": _floats(last.probabilities), "last_image": last.image}
    return fields


def _recipe(found: Finding) -> dict[str, Any]:
    """How to make the images of a pair, and how right and wrong the SUT is."""
    last, first = found.pair.last, found.pair.first
    return {
        "predicted": first.predicted,
        "partner_z_seed": first.proposal.partner_z_seed,
        "rival": first.proposal.rival,
        "layers": list(first.proposal.layers) if first.proposal.layers else None,
        "bracket": found.pair.width,
        **_place("psi_last", "alpha_last", "last_margin", last, first),
        **_place("psi_first", "alpha_first", "first_margin", first, first),
    }


def _place(psi: str, alpha: str, margin: str, image: Evaluation | None, first: Evaluation) -> dict[str, Any]:
    """Where an image lies, under these names; None where it is not there, and of alpha where nothing is mixed.

    Args:
        first: wrong image of the pair, as an image of alpha 0 names no layers of its own.
    """
    if image is None:
        return dict.fromkeys((psi, alpha, margin))
    mixed = image.proposal.alpha if first.proposal.layers else None
    return {psi: image.proposal.psi, alpha: mixed, margin: image.margin}


def _strength(best: Finding | None, stability: Stability | None) -> dict[str, Any]:
    """The columns that tell how wrong the SUT is; none where there is no pair."""
    fields: dict[str, Any] = {"stability": stability.first, "severe_stability": stability.severe} if stability else {}
    if best is None or best.severe is None:
        return fields
    severe = best.severe.evaluation
    return fields | {
        **_place("severe_psi", "severe_alpha", "severe_margin", severe, severe),
        "severe_predicted": severe.predicted,
        "severe_probabilities": _floats(severe.probabilities),
        "severe_image": severe.image,
        "severe_measured": best.severe.verdict.measured,
    }


def _latents(best: Finding | None) -> dict[str, Any]:
    """The columns of what no seed draws; none where the first wrong image has none."""
    if best is None or (latent := best.pair.first.proposal.latent) is None:
        return {}
    images = {"latent_last": best.pair.last, "latent_first": best.pair.first, "severe_latent": _severe(best)}
    found = {name: image.proposal.latent for name, image in images.items() if image is not None}
    return {"space": latent.space, **{name: list(own.values) for name, own in found.items() if own is not None}}


def _reported(search: SourceSearch) -> list[ReportedPair]:
    """All pairs of a source, without images."""
    return [
        ReportedPair(
            label=search.source.label,
            z_seed=search.source.z_seed,
            number=number,
            kept=found is search.best,
            queries=found.queries,
            walk_queries=found.walk_queries,
            valid=found.valid,
            measured=found.verdict.measured,
            **_recipe(found),
            **_place("severe_psi", "severe_alpha", "severe_margin", _severe(found), found.pair.first),
        )
        for number, found in enumerate(search.findings)
    ]


def _severe(found: Finding) -> Evaluation | None:
    return None if found.severe is None else found.severe.evaluation


def _floats(values: np.ndarray) -> list[float]:
    return [float(v) for v in values]


@dataclass(frozen=True, eq=False)
class SavedImage:
    """One image of a row: its recipe, the stored image, and what the SUT answered."""

    role: str  # source | last | first | severe
    request: Request
    image: np.ndarray
    predicted: int


_ENDS = {  # the columns of an image's psi, alpha, latent, pixels and answer, by its role
    "last": ("psi_last", "alpha_last", "latent_last", "last_image", "last_probabilities"),
    "first": ("psi_first", "alpha_first", "latent_first", "first_image", "first_probabilities"),
    "severe": ("severe_psi", "severe_alpha", "severe_latent", "severe_image", "severe_probabilities"),
}


def saved_images(record: BoundaryRecord) -> list[SavedImage]:
    """The images of a row with the recipes that render them again."""
    source = Source(record.label, record.z_seed)
    images = [
        SavedImage("source", Request(source, Proposal(record.source_psi)), record.source_image, record.source_predicted)
    ]
    for role, columns in _ENDS.items():
        psi, alpha, latent, image, probabilities = (getattr(record, column) for column in columns)
        if psi is None or image is None or probabilities is None:
            continue
        proposal = _proposal(record, psi, alpha, latent)
        images.append(SavedImage(role, Request(source, proposal), image, int(np.argmax(probabilities))))
    return images


def _proposal(record: BoundaryRecord, psi: float, alpha: float | None, latent: list[float] | None) -> Proposal:
    """The recipe of an image of a row; alpha and latent are None where nothing was mixed or moved."""
    partner = record.partner_z_seed, record.rival
    if latent is not None and record.space is not None:
        return Proposal(psi, *partner, latent=Latent(record.space, tuple(latent)))
    if alpha is not None:
        return Proposal(psi, *partner, tuple(record.layers or ()), alpha)
    return Proposal(psi)
