"""Numbers of faults in which no judge has a say: how far crossings are from their sources, which cells faults reach."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latreg.evaluation.coverage import EQUAL_N, FeatureCells, coverage
from latreg.interfaces import BoundaryRecord, Source
from latreg.jobs.crossings import in_pixels, in_w
from latreg.measures.waiting import KINDS
from latreg.runs.records import source_of
from latreg.search.renderer import Renderer

CROSSINGS = ("crossing_w_median", "crossing_pixels_median")
Images = dict[Source, NDArray[np.uint8]]
NAMES = (*CROSSINGS, *(f"{name}_ci95" for name in CROSSINGS), *(f"coverage_by_{kind}" for kind in KINDS))


class Unjudged:
    """Measures each record once; a call sums up some of them, by the names in NAMES.

    Args:
        found: the records of a run.
        cells: that faults are counted by; None = they are not.
        renderer: knows the w of an image; None = no distances in w.
    """

    def __init__(self, found: Sequence[BoundaryRecord], cells: FeatureCells | None, renderer: Renderer | None) -> None:
        self._cells = cells
        distances = in_w(found, renderer) if renderer else [None] * len(found)
        self._in_w = dict(zip(map(source_of, found), distances, strict=True))
        self._reached = {kind: _reached(of, cells) for kind, of in zip(KINDS, _images(found), strict=True)}

    def __call__(self, records: Sequence[BoundaryRecord]) -> dict[str, Any]:
        """The median distances, and the coverage by EQUAL_N faults of a kind."""
        distances = ([self._in_w[source_of(r)] for r in records], [in_pixels(r) for r in records])
        summary: dict[str, Any] = {}
        for name, found in zip(CROSSINGS, distances, strict=True):
            summary |= _median(name, [distance for distance in found if distance is not None])
        for kind, reached in self._reached.items():
            own = np.array([reached[source_of(r)] for r in records if source_of(r) in reached], dtype=np.intp)
            summary[f"coverage_by_{kind}"] = coverage(own, self._cells.count) if self._cells else None
        return summary


def _reached(images: Images, cells: FeatureCells | None) -> dict[Source, int]:
    """The cell of each fault, {} where there are too few to be compared."""
    if cells is None or len(images) < EQUAL_N:
        return {}
    return dict(zip(images, cells.of(list(images.values())).tolist(), strict=True))


def _images(found: Sequence[BoundaryRecord]) -> tuple[Images, Images]:
    """Those of valid faults on the boundary, and of robust ones where they are most severe, as far as they are kept."""
    valid = {source_of(r): r.first_image for r in found if r.valid_fault and r.first_image is not None}
    severe = {source_of(r): r.severe_image for r in found if r.robust_fault and r.severe_image is not None}
    robust = {source_of(r) for r in found if r.robust_fault}
    return valid, {source: image for source, image in (valid | severe).items() if source in robust}


def _median(name: str, values: Sequence[float]) -> dict[str, Any]:
    """With its interval; None where there are no values."""
    if not values:
        return {name: None, f"{name}_ci95": None}
    from latreg.measures.statistics import median_interval  # which imports scipy, that takes a second

    interval = median_interval(values)
    return {name: float(np.median(values)), f"{name}_ci95": None if interval is None else list(interval)}
