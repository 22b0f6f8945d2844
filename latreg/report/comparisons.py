"""One comparison of two cells: what was measured, the effect with its interval, the test.

Each function compares one measure; None where nothing can be compared. Effects are first minus second
unless they are called a ratio.
"""

from collections.abc import Callable

import numpy as np

from latreg.errors import LatregError
from latreg.report import statistics
from latreg.report.results import CHOSEN
from latreg.report.rows import Comparison, Raw
from latreg.report.runs import Column, Rows, Study
from latreg.runs.cell import Cell

MAX_FAULTS = 2000  # of a cell whose pairwise distances are compared


def per_source(
    study: Study, first: Cell, second: Cell, measure: str, flag: Callable[[Rows], Column], stratum: str = "all"
) -> Comparison | None:
    """A yes/no outcome of each source under both: difference of the rates, McNemar's exact test.

    The stratum of a source is that which it has in the first cell. A flag that is nan anywhere was not measured, and
    nothing is compared.
    """
    rows = study.rows(first, stratum).paired(study.rows(second, CHOSEN if stratum == CHOSEN else "all"))
    a, b = (flag(own) for own in rows)
    if not len(a) or np.isnan([a, b]).any():
        return None
    interval = statistics.bootstrap(lambda x, y: x.mean(-1) - y.mean(-1), a, b)
    return Comparison(
        **_head(first, second, measure, len(a), len(b), stratum),
        **_values(float(a.mean()), float(b.mean()), "difference of rates", float(a.mean() - b.mean()), interval),
        **_effects(a, b),
        **_test("McNemar, exact", statistics.mcnemar(a, b)),
    )


def cost_ratio(study: Study, first: Cell, second: Cell) -> Comparison | None:
    """Sources per valid fault, first over second on the same sources; McNemar's test of the valid faults."""
    a, b = (rows.valid_fault for rows in study.cells[first].paired(study.cells[second]))
    if not (a.sum() and b.sum()):
        return None
    interval = statistics.bootstrap(lambda x, y: statistics.ratio(y, x), a, b)
    return Comparison(
        **_head(first, second, "sources per valid fault", len(a), len(b)),
        **_values(len(a) / a.sum(), len(b) / b.sum(), "ratio", float(b.sum() / a.sum()), interval),
        **_effects(a, b),
        **_test("McNemar, exact", statistics.mcnemar(a, b)),
    )


def queries(study: Study, first: Cell, second: Cell) -> Comparison | None:
    """Queries per source on the same sources: Wilcoxon's signed-rank test."""
    a, b = (rows.queries for rows in study.cells[first].paired(study.cells[second]))
    if not len(a):
        return None
    interval = statistics.bootstrap(lambda x, y: x.mean(-1) - y.mean(-1), a, b)
    return Comparison(
        **_head(first, second, "queries per source", len(a), len(b)),
        **_values(float(a.mean()), float(b.mean()), "difference of means", float(a.mean() - b.mean()), interval),
        **_effects(a, b),
        **_test("Wilcoxon signed-rank", statistics.wilcoxon(a, b)),
    )


def share_of_flips(study: Study, first: Cell, second: Cell, gate: str) -> Comparison | None:
    """The share of flips that pass a gate: Newcombe's interval, Fisher's exact test. The flips are of other sources."""
    a, b = (_flips_with(study.cells[cell], study.cells[cell].flags[gate]) for cell in (first, second))
    if not (len(a) and len(b)):
        return None
    counts = (int(a.sum()), len(a), int(b.sum()), len(b))
    return Comparison(
        **_head(first, second, f"share of flips: {gate.replace('_', ' ')}", len(a), len(b)),
        **_values(
            *(float(a.mean()), float(b.mean()), "difference of shares", float(a.mean() - b.mean())),
            statistics.newcombe(*counts),
        ),
        **_effects(a, b),
        **_test("Fisher, exact", statistics.fisher(*counts)),
    )


def similarity(study: Study, first: Cell, second: Cell) -> Comparison | None:
    """SSIM of the flips to their sources: Mann-Whitney's rank-sum test."""
    a, b = (_flips_with(study.cells[cell], study.cells[cell].ssim) for cell in (first, second))
    if not (len(a) and len(b)):
        return None
    effect = float(np.median(a) - np.median(b))
    return Comparison(
        **_head(first, second, "SSIM of flips", len(a), len(b)),
        **_values(float(np.median(a)), float(np.median(b)), "difference of medians", effect, None),
        **_effects(a, b),
        **_test("Mann-Whitney", statistics.mann_whitney(a, b)),
    )


def diversity(study: Study, first: Cell, second: Cell, flag: str) -> Comparison | None:
    """Mean pixel distance of two faults: bootstrap of the faults, permutation test.

    Args:
        flag: valid_fault or flipped, which images are compared.
    """
    groups = [fault_images(study, cell, flag) for cell in (first, second)]
    n = len(groups[0])
    distances = statistics.pixel_distances(np.concatenate(groups)) if all(map(len, groups)) else np.empty((0, 0))
    found = statistics.compare_diversity(distances, n)
    if found is None:
        return None
    own = (distances[:n, :n].sum(1) / (n - 1), distances[n:, n:].sum(1) / (len(distances) - n - 1))
    measure = f"pixel distance of {'valid faults' if flag == 'valid_fault' else 'flips'}"
    return Comparison(
        **_head(first, second, measure, n, len(distances) - n),
        **_values(
            *(found.first, found.second, "difference of means", found.first - found.second), (found.low, found.high)
        ),
        **_effects(*own),
        **_test("permutation", found.p),
    )


def fault_images(study: Study, cell: Cell, flag: str) -> np.ndarray:
    """The first wrong images of a cell, (n, C, H, W) uint8; those that are missing are left out, of many the first."""
    rows = study.cells[cell]
    rows = rows.where(getattr(rows, flag) == 1)
    images: list[np.ndarray] = []
    for number in np.unique(rows.run).astype(int):
        chosen = rows.row[rows.run == number].astype(int).tolist()
        found = study.runs[number].records(chosen[: MAX_FAULTS - len(images)])
        images += [record.first_image for record in found if record.first_image is not None]
    if len({image.shape for image in images}) > 1:
        raise LatregError(f"expected images of one size in {cell.name}, got {sorted({i.shape for i in images})}")
    return np.stack(images) if images else np.empty((0, 1, 1, 1), dtype=np.uint8)


def _flips_with(rows: Rows, column: Column) -> Column:
    """A column of the flips, where it is known."""
    values: Column = column[rows.flipped == 1]
    return values[~np.isnan(values)]


def _head(first: Cell, second: Cell, measure: str, n_first: int, n_second: int, stratum: str = "all") -> Raw:
    return {
        "dataset": first.dataset,
        "stratum": stratum,
        "measure": measure,
        "first": first,
        "second": second,
        "n_first": n_first,
        "n_second": n_second,
    }


def _values(first: float, second: float, name: str, effect: float, interval: statistics.Interval | None) -> Raw:
    low, high = interval or (None, None)
    values = {"value_first": float(first), "value_second": float(second)}
    return values | {"effect_name": name, "effect": effect, "low": low, "high": high}


def _effects(first: Column, second: Column) -> Raw:
    return {"a12": statistics.a12(first, second), "cliffs_delta": statistics.cliffs_delta(first, second)}


def _test(name: str, p: float | None) -> Raw:
    return {"test": name, "p": p}
