"""What page and text say first: the best of each data set, and each claim in a sentence."""

from collections.abc import Callable

from latreg.report import text
from latreg.report.results import Results, Row

MISSING = "nothing to compare: these runs are missing, or found nothing that could be compared"


def best(results: Results) -> list[Row]:
    """For each data set the searches with fewest queries per valid fault, fewest sources, and nothing else known.

    Rows with dataset, aim and cell; cell is None where no valid fault was found. The best of many looks better than
    it is, so this is a place to start and no test.
    """
    aims: dict[str, Callable[[Row], float]] = {
        "fewest queries per valid fault": lambda row: float(row["queries_per_valid_fault"]),
        "fewest sources per valid fault": lambda row: float(row["sources_per_valid_fault"]),
    }
    found: list[Row] = []
    for dataset in results.study["datasets"]:
        cells = [row for row in results.cells if (row["dataset"], row["stratum"]) == (dataset, "all")]
        cells = [row for row in cells if row["valid_faults"]]
        for aim, cost in aims.items():
            found.append({"dataset": dataset, "aim": aim, "cell": min(cells, key=cost, default=None)})
    return found


def cell_name(row: Row) -> str:
    """mixing, psi 0.7, global center."""
    variant = f" ({row['variant']})" if row["variant"] else ""
    return f"{row['strategy']}, {text.truncation(row)}, {row['center']} center{variant}"


def sentence(answer: Row) -> str:
    """What the comparisons that decide a claim found on one data set."""
    rows = answer["primary"]
    if not rows:
        return MISSING
    if len(rows) > 1:
        return _of_many(rows)
    (row,) = rows
    return (
        f"{row['measure']}: {text.compared(row, 'first')} ({row['first']}) against {text.compared(row, 'second')} "
        f"({row['second']}); {text.effect(row)}; A12 {text.number(row['a12'])}; {row['test']}: "
        f"p {_equals(row['p_holm'])} after Holm; n {text.counts(row)}"
    )


def _of_many(rows: list[Row]) -> str:
    """One cell against several: the best of them, and the two that differ most clearly."""
    best_row = max(rows, key=lambda row: float(row["value_second"]))
    plain = next((row for row in rows if row.get("psi_second") == 1), None)
    parts = [f"{rows[0]['first']}: {text.compared(rows[0], 'first')} valid faults per source"]
    for name, row in (("best other", best_row), ("no truncation", plain)):
        if row is not None:
            parts.append(
                f"{name} ({row['second']}): {text.compared(row, 'second')}, {text.effect(row)}, "
                f"p {_equals(row['p_holm'])} after Holm"
            )
    return "; ".join([*parts, f"n {text.counts(best_row)}"])


def _equals(p: float | None) -> str:
    shown = text.p_value(p)
    return shown if shown.startswith("<") else f"= {shown}"
