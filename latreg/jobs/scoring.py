"""The content of a search's metrics.json: the numbers of its records, and how different the judge finds its faults."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from latreg.classifier.sut import TorchSUT
from latreg.config import Config, first_z_seed_of
from latreg.errors import LatregError
from latreg.evaluation.coverage import FeatureCells
from latreg.evaluation.diversity import FaultSpace
from latreg.interfaces import BoundaryRecord, Columns, flags_of
from latreg.jobs.sources import split_chosen
from latreg.jobs.sut_check import shipped_images
from latreg.jobs.unjudged import Unjudged
from latreg.measures import metrics
from latreg.search.renderer import Renderer
from latreg.surroundings import cache_folder
from latreg.validity.density import ClassDensity
from latreg.validity.judge import Judge
from latreg.validity.loading import load_lpips
from latreg.validity.perceptual import PerceptualDistance

log = logging.getLogger(__name__)

MAX_FAULTS = 500  # of a stratum, compared with each other; of more, so many at equal distances in their order
# fields of Diversity
JUDGED = (
    *("faults_compared", "judge_distance", "judge_distance_ci95", "cells_reached", "cells", "groups"),
    *("lpips", "lpips_ci95"),
)
CHOSEN = "chosen"  # the stratum of its own in metrics.json


def score(
    cfg: Config,
    found: Sequence[BoundaryRecord],
    measured: Columns,
    judge: Judge | None,
    seconds: float | None = None,
    density: ClassDensity | None = None,
    renderer: Renderer | None = None,
) -> dict[str, Any]:
    """All numbers of a run, in all and by stratum.

    Args:
        cfg: of the run.
        found: its records.
        measured: what its gates measured.
        judge: valid faults are compared in what its first member sees; None = they are not compared.
        seconds: wall-clock time of the search.
        density: faults are counted by cells of what its network sees; None = they are not.
        renderer: knows the w of an image; None = no distances in w.
    """
    drawn, chosen = split_chosen(found, first_z_seed_of(cfg))
    results = metrics.summarize(drawn, flags_of(measured), chosen, seconds)
    space = fault_space(cfg, judge)
    measure = Unjudged(found, feature_cells(cfg, density), renderer)
    for name, part in {"all": results, **results["strata"]}.items():
        own = chosen if name == CHOSEN else [record for record in drawn if name in ("all", record.stratum)]
        judged = asdict(space.measure(_fault_images(own))) if space else {}
        part.update({number: judged.get(number) for number in JUDGED} | measure(own))
    return results


def feature_cells(cfg: Config, density: ClassDensity | None) -> FeatureCells | None:
    """Cells of the shipped real images in what the density's network sees; None where one of them is not there."""
    shipped = shipped_images(cfg)
    if density is None or shipped is None:
        return None
    return FeatureCells(density, shipped.images, kept=cache_folder() / "cells")


def fault_space(cfg: Config, judge: Judge | None) -> FaultSpace | None:
    """What the first member of the judge sees, with cells of the shipped real images.

    None where there is no such member.
    """
    member = judge.members[0] if judge else None
    if not isinstance(member, TorchSUT):
        return None
    shipped = shipped_images(cfg)
    real = None if shipped is None else shipped.images
    lpips = _lpips(cfg, member.device)
    return FaultSpace(member.network, real, lpips=lpips.vectors if lpips else None, kept=cache_folder() / "cells")


def _lpips(cfg: Config, device: torch.device) -> PerceptualDistance | None:
    """The distance that a search has measured, which may be missing on the machine that joins its shards."""
    try:
        return load_lpips(cfg, device)
    except LatregError as error:
        log.warning("LPIPS between faults is not measured: %s", error)
        return None


def _fault_images(found: Sequence[BoundaryRecord]) -> list[np.ndarray]:
    """The images of the valid faults that have one, or MAX_FAULTS of them."""
    images = [record.first_image for record in found if record.valid_fault and record.first_image is not None]
    n = min(len(images), MAX_FAULTS)
    return [images[i * len(images) // n] for i in range(n)]
