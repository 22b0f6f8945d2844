"""The rows of the table of searches."""

from types import SimpleNamespace

from latreg.report.rows import CellRow
from latreg.report.table import searches
from latreg.runs.cell import Cell


def row(strategy, psi, center, faults, seconds=1.0):
    cell = Cell("mnist", strategy, "none" if psi == 1 else "fixed", psi, center)
    return CellRow(cell, "all", {"valid_faults": faults, "seconds": seconds})


def test_searches_without_truncation_that_agree_with_both_centers_are_one_row():
    rows = [
        *(row("mixing", 1.0, "global", 5), row("mixing", 1.0, "class", 5, seconds=2.0)),
        *(row("mixing", 0.7, "global", 5), row("mixing", 0.7, "class", 5)),
        *(row("random", 1.0, "global", 5), row("random", 1.0, "class", 6)),
    ]
    assert [found.cell.name for found in searches(SimpleNamespace(cells=rows))] == [
        "mixing, no truncation, either center",
        "mixing, psi 0.7, global center",
        "mixing, psi 0.7, class center",
        "random, no truncation, global center",
        "random, no truncation, class center",
    ]
