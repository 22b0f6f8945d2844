"""How diverse the faults of two cells are, within classes and for equal numbers: a mix of classes is no diversity."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latreg.errors import LatregError
from latreg.measures import statistics
from latreg.measures.statistics import BOOTSTRAP_SEED, Floats
from latreg.report.comparisons import MEAN, ROBUST, robust
from latreg.report.rows import Comparison
from latreg.report.runs import Rows, Study
from latreg.runs.cell import Cell

MOST = 40  # faults of a class and cell that are compared

Images = NDArray[np.uint8]  # (n, C, H, W)


@dataclass(frozen=True)
class Space:
    """Vectors (n, D) of images, whose distances are measured."""

    name: str
    of: Callable[[Images], Floats]


def pixels(images: Images) -> Floats:
    """So that distances are the root mean square difference of the pixels on [0, 1]."""
    flat: Floats = images.reshape(len(images), -1) / 255
    flat /= flat.shape[1] ** 0.5
    return flat


PIXELS = Space("pixels", pixels)


def compare(study: Study, first: Cell, second: Cell, space: Space) -> Iterator[Comparison]:
    """Mean distance of two robust faults of one class, and the Vendi score, which is not tested.

    Of each class that has two or more on both sides, equally many are drawn. The interval is from resampling the
    faults of each class, p from permuting within classes which side they are of.
    """
    groups = list(_equal_groups(study, first, second))
    if not groups:
        return
    vectors = [space.of(np.concatenate(pair)) for pair in groups]
    found = statistics.compare_diversity([statistics.distances(own) for own in vectors])
    n = sum(len(own) for own in vectors) // 2
    yield _row(first, second, f"distance of {ROBUST} of a class, {space.name}", n, found)
    halves = [np.split(own, 2) for own in vectors]
    scores = [float(np.mean([statistics.vendi_score(half[side]) for half in halves])) for side in (0, 1)]
    untested = statistics.Contrast(scores[0], scores[1], scores[0] - scores[1], None, None, None)
    yield _row(first, second, f"Vendi score of {ROBUST} of a class, {space.name}", n, untested)


def _row(first: Cell, second: Cell, measure: str, n: int, found: statistics.Contrast) -> Comparison:
    return Comparison(
        dataset=first.dataset,
        stratum="all",
        measure=measure,
        first=first,
        second=second,
        n_first=n,
        n_second=n,
        value_first=found.first,
        value_second=found.second,
        effect_name=MEAN,
        effect=found.effect,
        low=found.low,
        high=found.high,
        a12=None,
        cliffs_delta=None,
        test="" if found.p is None else "permutation within classes",
        p=found.p,
    )


def _equal_groups(study: Study, first: Cell, second: Cell) -> Iterator[tuple[Images, Images]]:
    """For each class the images of equally many robust faults of both cells."""
    sides = [rows.where(robust(rows) == 1) for rows in (study.cells[first], study.cells[second])]
    for label in sorted(set(sides[0].label) & set(sides[1].label)):
        own = [rows.where(rows.label == label) for rows in sides]
        n = min(*map(len, own), MOST)
        if n >= 2:
            rng = np.random.default_rng([BOOTSTRAP_SEED, int(label)])
            drawn = [rows.where(np.sort(rng.choice(len(rows), n, replace=False))) for rows in own]
            first_images, second_images = (_images(study, rows) for rows in drawn)
            if len(first_images) == len(second_images):
                yield first_images, second_images


def _images(study: Study, rows: Rows) -> Images:
    """The most severe images of faults, else those on the boundary."""
    images: list[Images] = []
    for number in np.unique(rows.run).astype(int):
        found = study.runs[number].records(rows.row[rows.run == number].astype(int).tolist())
        shown = [r.first_image if r.severe_image is None else r.severe_image for r in found]
        images += [image for image in shown if image is not None]
    if len({image.shape for image in images}) > 1:
        raise LatregError(f"expected images of one size, got {sorted({image.shape for image in images})}")
    return np.stack(images)
