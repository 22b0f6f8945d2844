"""The table of searches: its columns as far as the results have them, and its rows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from latreg.report import text
from latreg.report.results import CHOSEN, Results
from latreg.report.rows import CellRow

EITHER = "either"  # the center of cells that are equal with both, since nothing was truncated
TIMES = ("seconds", "queries_per_second")  # equal searches take different times
STRATA = {
    "all": "all drawn",
    "confident": "confident",
    "uncertain": "uncertain",
    CHOSEN: "chosen",
}


@dataclass(frozen=True)
class Column:
    """A number of each row.

    Attributes:
        name: of the number in cells.csv.
        kind: how it is shown, a function of `text`.
        first: it is shown before anybody chooses columns.
    """

    heading: str
    name: str
    kind: str
    first: bool = False

    def show(self, row: CellRow) -> str:
        """The number as people read it; a rate or a value with its interval."""
        with_others = self.kind in ("rate", "value", "reached")
        shown: str = getattr(text, self.kind)(*((row.numbers, self.name) if with_others else (row.numbers[self.name],)))
        return shown


FLIPS = (
    Column("sources", "sources", "number", first=True),
    Column("accepted", "accepted_rate", "percent"),
    Column("flipped, per source", "flipped_rate", "rate", first=True),
)
GATES = {  # heading and how it is shown
    "screened": ("similar", "percent"),
    "label_kept": ("label kept", "rate"),
    "held_out": ("held-out judge keeps", "rate"),
}  # others by their names, in percent
WITHIN = (
    Column("robust within 60 queries, per source", "robust_within_60", "rate"),
    Column("robust within 200 queries, per source", "robust_within_200", "rate"),
    Column("robust within 1,000 queries, per source", "robust_within_1000", "rate"),
)
FAULTS = (
    Column("valid faults", "valid_faults", "number", first=True),
    Column("valid, per source", "valid_rate", "rate", first=True),
    Column("sources per valid fault", "sources_per_valid_fault", "value"),
    Column("queries per valid fault", "queries_per_valid_fault", "value", first=True),
    Column("queries to a source's first valid fault, median", "queries_to_valid_median", "value"),
    Column("queries to the first valid fault", "queries_to_first_valid", "value"),
    Column("held-out judge keeps, of valid", "held_out_rate_of_valid", "rate"),
    Column("robust faults", "robust_faults", "number"),
    Column("robust, per source", "robust_rate", "rate", first=True),
    Column("sources per robust fault", "sources_per_robust_fault", "value"),
    Column("queries per robust fault", "queries_per_robust_fault", "value", first=True),
    Column("queries to a source's first robust fault, median", "queries_to_robust_median", "value"),
    Column("queries to the first robust fault", "queries_to_first_robust", "value"),
    *WITHIN,
    Column("held-out judge keeps, of robust", "held_out_rate_of_robust", "rate"),
    Column("stability of valid faults, median", "stability_median", "value"),
    Column("severe margin, median", "severe_margin_median", "value"),
    Column("boundary margin, median", "margin_median", "value"),
    Column("bracket, median", "bracket_median", "value"),
    Column("SSIM, median", "ssim_median", "value"),
    Column("class pairs", "class_pairs", "number"),
)
OF_VALID = ("valid_faults", "queries_per_valid_fault")
MEASURED = (  # from metrics.json, where it was measured
    Column("judge distance", "judge_distance", "value"),
    Column("LPIPS", "lpips", "value"),
    Column("pixel distance", "diversity", "number"),
    Column("cells reached", "cells_reached", "reached"),
    Column("groups", "groups", "number"),
    Column("cells covered by 10 valid faults", "coverage_by_valid", "percent"),
    Column("cells covered by 10 robust faults", "coverage_by_robust", "percent"),
    Column("distance to the boundary in w, median", "crossing_w_median", "value"),
    Column("distance to the boundary in pixels, median", "crossing_pixels_median", "value"),
)


def columns(results: Results) -> list[Column]:
    """Those that the results have; older ones do not tell which faults are robust, short searches not all of WITHIN."""
    rows = results.cells
    known = [column for column in FAULTS if all(column.name in row.numbers for row in rows)]
    unknown = [column for column in WITHIN if all(row.numbers.get(column.name) is None for row in rows)]
    known = [column for column in known if column not in unknown]
    if any(column.name == "robust_faults" for column in known):  # then these say less
        known = [replace(column, first=column.first and column.name not in OF_VALID) for column in known]
    return [*_repetitions(results), *FLIPS, *_gates(results), *known, *_measured(results)]


def searches(results: Results) -> list[CellRow]:
    """A row per cell and stratum, in the order of `strategies`.

    Cells without truncation that agree in every number are one, with either center.
    """
    found: dict[object, CellRow] = {}
    for row in results.cells:
        key = _without_center(row) if row.cell.truncation == "none" else (row.cell, row.stratum)
        found[key] = replace(row, cell=replace(row.cell, center=EITHER)) if key in found else row
    order = strategies(results)
    return sorted(found.values(), key=lambda row: order.index(row.cell.strategy))


def strategies(results: Results) -> list[str]:
    """That which found most valid faults first, sampling last, which searches nothing."""
    valid: Counter[str] = Counter()
    for row in results.cells:
        valid[row.cell.strategy] += row.numbers["valid_faults"] if row.stratum == "all" else 0
    return sorted(valid, key=lambda strategy: (strategy == "sampling", -valid[strategy]))


def _without_center(row: CellRow) -> object:
    numbers = tuple((name, value) for name, value in row.numbers.items() if name not in TIMES)
    return replace(row.cell, center=""), row.stratum, numbers


def _repetitions(results: Results) -> Iterator[Column]:
    """Their number, where some cell pools several; older results do not tell it."""
    if any((row.numbers.get("repetitions") or 1) > 1 for row in results.cells):
        yield Column("repetitions", "repetitions", "number")


def _gates(results: Results) -> Iterator[Column]:
    """How many of the flips pass each gate."""
    for gate in results.gates:
        name, kind = GATES.get(gate, (gate.replace("_", " "), "percent"))
        yield Column(f"{name}, of flips", f"{gate}_share", kind)


def _measured(results: Results) -> Iterator[Column]:
    """The numbers that come from metrics.json: diversity, and then the others under their own names."""
    names = list(results.cells[0].numbers) if results.cells else []
    behind = names[names.index("class_pairs") + 1 :] if names else []
    known = {name for name in behind if any(row.numbers[name] is not None for row in results.cells)}
    yield from (column for column in MEASURED if column.name in known)
    parts = {f"{column.name}{end}" for column in MEASURED for end in ("", "_low", "_high")} | {"cells"}
    yield from (Column(name.replace("_", " "), name, "number") for name in behind if name in known - parts)
