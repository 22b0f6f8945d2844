"""Two cells of a study compared: every measure is a ratio of sums over the same sources, clustered by their z_seed.

A z_seed gives one source of each class, so sources that share it are not independent: intervals and tests take them
together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latreg.measures import statistics
from latreg.measures.metrics import HELD_OUT
from latreg.report.results import CHOSEN
from latreg.report.rows import Comparison
from latreg.report.runs import Column, Rows, Study, all_queries, robust_faults
from latreg.runs.cell import Cell

RATE, SHARE, RATIO = "difference of rates", "difference of shares", "ratio"
MEAN = "difference of means"
TEST = "sign flips of z_seeds"


@dataclass(frozen=True)
class Measure:
    """A numerator and a denominator of each source; nan anywhere = not measured, and nothing is compared.

    Attributes:
        effect: one of RATE, SHARE, MEAN (differences) and RATIO.
    """

    name: str
    of: Callable[[Rows], tuple[Column, Column]]
    effect: str


def compare(study: Study, first: Cell, second: Cell, measure: Measure, stratum: str = "all") -> Comparison | None:
    """A measure under both cells, on the sources that both have; None where it was not measured or has nothing to
    divide by.

    The stratum of a source is that which it has in the first cell.
    """
    rows = study.rows(first, stratum).paired(study.rows(second, CHOSEN if stratum == CHOSEN else "all"))
    one, other = (measure.of(own) for own in rows)
    if not len(rows[0]) or np.isnan([*one, *other]).any():
        return None
    found = statistics.contrast(one, other, rows[0].z_seed, as_ratio=measure.effect == RATIO)
    if found is None:
        return None
    of_sources = measure.effect == RATE
    return Comparison(
        dataset=first.dataset,
        stratum=stratum,
        measure=measure.name,
        first=first,
        second=second,
        n_first=_size(measure, one),
        n_second=_size(measure, other),
        value_first=found.first,
        value_second=found.second,
        effect_name=measure.effect,
        effect=found.effect,
        low=found.low,
        high=found.high,
        a12=statistics.a12(one[0], other[0]) if of_sources else None,
        cliffs_delta=statistics.cliffs_delta(one[0], other[0]) if of_sources else None,
        test=TEST,
        p=found.p,
    )


def _size(measure: Measure, sums: tuple[Column, Column]) -> int:
    """How many sources it is a mean over: of a share of flips, those that flip."""
    some = measure.effect != RATIO and np.isin(sums[1], (0, 1)).all()
    return int(sums[1].sum()) if some else len(sums[1])


# ---- what counts as a fault, the weakest first


def flips(rows: Rows) -> Column:
    """The SUT's answer changed."""
    return rows.flipped


def valid(rows: Rows) -> Column:
    """A flip that passes the gates of the run, on the boundary."""
    return rows.valid_fault


def robust(rows: Rows) -> Column:
    """A valid fault by a margin, or in every draw of noise."""
    return robust_faults(rows)


def held(rows: Rows) -> Column:
    """A robust fault whose label the held-out judge keeps too, where the fault is most severe."""
    found, at_boundary = robust_faults(rows), rows.flags.get(HELD_OUT, np.full(len(rows), np.nan))
    kept = np.where(np.isnan(rows.severe_margin), at_boundary, rows.severe_held_out)
    return np.where(found == 1, kept, found)


FAULTS: dict[str, Callable[[Rows], Column]] = {
    "flips": flips,
    "valid faults": valid,
    "robust faults": robust,
    "robust faults that the held-out judge keeps": held,
}
ROBUST = "robust faults"


def _each(form: str, of: Callable[[Rows, Column], tuple[Column, Column]], effect: str) -> dict[str, Measure]:
    """A measure of each notion of a fault, by its name; `of` takes rows and which of them have one."""
    return {
        name: Measure(form.format(name), lambda rows, flag=flag: of(rows, flag(rows)), effect)  # type: ignore[misc]
        for name, flag in FAULTS.items()
    }


def _ones(rows: Rows) -> Column:
    return np.ones(len(rows))


PER_SOURCE = _each("{} per source", lambda rows, faults: (faults, _ones(rows)), RATE)
PER_QUERY = _each("{} per 1,000 queries", lambda rows, faults: (1000 * faults, all_queries(rows)), MEAN)
SOURCES = _each("sources per one of the {}", lambda rows, faults: (_ones(rows), faults), RATIO)
QUERIES = Measure("queries per source", lambda rows: (all_queries(rows), _ones(rows)), MEAN)
APPRAISALS = Measure("images shown to the judge per source", lambda rows: (rows.appraisals, _ones(rows)), MEAN)
SSIM = Measure("SSIM of flips", lambda rows: (np.where(rows.flipped == 1, rows.ssim, 0), rows.flipped), MEAN)


def share_of_flips(gate: str) -> Measure:
    """Which of the flips pass a gate."""
    return Measure(f"share of flips: {gate.replace('_', ' ')}", lambda rows: (_passed(rows, gate), rows.flipped), SHARE)


KEPT_FIRST = Measure(
    "share of first pairs: label kept",
    lambda rows: (np.where(rows.flipped == 1, rows.first_pair_kept, 0), rows.flipped),
    SHARE,
)
DRIFTED = Measure(
    "flips with label lost per source",
    lambda rows: (rows.flipped - _passed(rows, "label_kept"), _ones(rows)),
    RATE,
)


def _passed(rows: Rows, gate: str) -> Column:
    """1 for flips that pass a gate; nan where that was not measured of a flip."""
    return np.where(rows.flipped == 1, rows.flags[gate], 0.0)
