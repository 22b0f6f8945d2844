"""What page and text say first: the best of each data set, and each claim in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from latreg.report import text
from latreg.report.results import Results
from latreg.report.rows import Answer, CellRow, Comparison

MISSING = "nothing to compare: these runs are missing, or found nothing that could be compared"


@dataclass(frozen=True)
class Best:
    """The cell of a data set that does best by an aim; None where no fault was found."""

    dataset: str
    kind: str  # of fault: robust, or valid where it was not measured which are robust
    what: str  # sources or queries, of which it needs fewest
    row: CellRow | None

    @property
    def aim(self) -> str:
        """In words."""
        return f"fewest {self.what} per {self.kind} fault"


def best(results: Results) -> list[Best]:
    """For each data set the searches with fewest queries per robust fault, fewest sources, and nothing else known.

    The best of many looks better than it is, so this is a place to start and no test.
    """
    found: list[Best] = []
    for dataset in results.study["datasets"]:
        rows = [row for row in results.cells if (row.cell.dataset, row.stratum) == (dataset, "all")]
        kind = fault_kind(rows)
        rows = [row for row in rows if row.numbers[f"{kind}_faults"]]
        for what in ("queries", "sources"):
            cheapest = min(rows, key=lambda row: float(row.numbers[f"{what}_per_{kind}_fault"]), default=None)
            found.append(Best(dataset, kind, what, cheapest))
    return found


def fault_kind(rows: Sequence[CellRow]) -> str:
    """What faults are counted: robust ones, or valid ones where a cell does not say which are robust."""
    return "robust" if all(row.numbers.get("robust_faults") is not None for row in rows) else "valid"


def sentence(answer: Answer) -> str:
    """What the comparisons that decide a claim found on one data set."""
    rows = answer.primary
    if not rows:
        return MISSING
    if len(rows) > 1:
        return _of_many(rows)
    (row,) = rows
    size = "" if row.a12 is None else f"; A12 {text.number(row.a12)}"
    return (
        f"{row.measure}: {text.compared(row, 'first')} ({row.first.name}) against {text.compared(row, 'second')} "
        f"({row.second.name}); {text.effect(row)}{size}; {row.test}: p {_equals(row)}; n {text.counts(row)}"
    )


def _of_many(rows: Sequence[Comparison]) -> str:
    """One cell against several: the best of them, and the two that differ most clearly."""
    best_row = max(rows, key=lambda row: row.value_second)
    plain = next((row for row in rows if row.second.psi == 1), None)
    parts = [f"{rows[0].first.name}: {text.compared(rows[0], 'first')} {rows[0].measure}"]
    for name, row in (("best other", best_row), ("no truncation", plain)):
        if row is not None:
            parts.append(
                f"{name} ({row.second.name}): {text.compared(row, 'second')}, {text.effect(row)}, p {_equals(row)}"
            )
    return "; ".join([*parts, f"n {text.counts(best_row)}"])


def _equals(row: Comparison) -> str:
    shown = text.p_value(row.p_holm)
    return f"{shown if shown.startswith('<') else f'= {shown}'}{' after Holm' if row.family > 1 else ''}"
