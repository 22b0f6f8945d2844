"""From a finished search to the row that is saved, and from a row back to the recipes of its images."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from latreg.interfaces import BoundaryRecord, Proposal, Source
from latreg.search.criteria import stratum
from latreg.search.engine import SourceSearch
from latreg.search.recipes import Request


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
    confident_below: float


def to_record(search: SourceSearch, context: RunContext) -> BoundaryRecord:
    """The row of a finished search."""
    start = search.start
    assert start is not None
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
        flipped=search.pair is not None,
        valid_fault=search.verdict is not None and search.verdict.valid,
        **_pair_fields(search),
    )


def _pair_fields(search: SourceSearch) -> dict[str, Any]:
    """The columns that describe a boundary pair; none where there is none."""
    if search.pair is None or search.verdict is None:
        return {}
    last, first, verdict = search.pair.last, search.pair.first, search.verdict
    mixed = bool(first.proposal.layers)
    fields: dict[str, Any] = {
        "predicted": first.predicted,
        "partner_z_seed": first.proposal.partner_z_seed,
        "rival": first.proposal.rival,
        "layers": list(first.proposal.layers) if mixed else None,
        "psi_first": first.proposal.psi,
        "alpha_first": first.proposal.alpha if mixed else None,
        "bracket": search.pair.width,
        "first_margin": first.margin,
        "first_probabilities": _floats(first.probabilities),
        "first_image": first.image,
        "measured": verdict.measured,
    }
    if last is not None:
        fields |= {
            "psi_last": last.proposal.psi,
            "alpha_last": last.proposal.alpha if mixed else None,
            "last_margin": last.margin,
            "last_probabilities": _floats(last.probabilities),
            "last_image": last.image,
        }
    return fields


def _floats(values: np.ndarray) -> list[float]:
    return [float(v) for v in values]


@dataclass(frozen=True, eq=False)
class SavedImage:
    """One image of a row: its recipe, the stored image, and what the SUT answered."""

    role: str  # source | last | first
    request: Request
    image: np.ndarray
    predicted: int


def saved_images(record: BoundaryRecord) -> list[SavedImage]:
    """The images of a row with the recipes that render them again."""
    source = Source(record.label, record.z_seed)
    images = [
        SavedImage("source", Request(source, Proposal(record.source_psi)), record.source_image, record.source_predicted)
    ]
    ends = (
        ("last", record.psi_last, record.alpha_last, record.last_image, record.last_probabilities),
        ("first", record.psi_first, record.alpha_first, record.first_image, record.first_probabilities),
    )
    for role, psi, alpha, image, probabilities in ends:
        if psi is None or image is None or probabilities is None:
            continue
        if alpha is None:
            proposal = Proposal(psi)
        else:
            proposal = Proposal(psi, record.partner_z_seed, record.rival, tuple(record.layers or ()), alpha)
        images.append(SavedImage(role, Request(source, proposal), image, int(np.argmax(probabilities))))
    return images
