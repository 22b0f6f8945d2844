"""Metrics as lines of text for a terminal or a log."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from math import inf
from textwrap import wrap
from typing import Any

_SHARES = ("rate", "accuracy", "agreement")  # words in the names of what is printed in percent
_INTERVAL = "_ci95"  # ends the name of the interval of what stands before it
_GAP = "  "  # between columns
# Of a search, what is left to metrics.json: how the work splits up, the same in other words, what needs explaining.
_DETAILS = {
    *("fault_rate_per_accepted", "sources_per_valid_fault", "sources_per_robust_fault", "diversity"),
    *("walk_queries", "stability_queries", "appraisals", "faults_compared", "cells", "cells_reached"),
    "boundary_margin_median",
}
_FAMILIES = ("robust_within_", "queries_to_", "crossing_", "coverage_")  # and these


def as_text(results: Mapping[str, Any]) -> str:
    """Results of any stage as aligned lines of at most 80 characters; of a search what most ask for, not all.

    Shares are in percent, intervals in brackets behind what they belong to; what was not measured has no line. The
    strata of a search have a column each, without intervals, unless all sources are of one.
    """
    strata = {name: of for name, of in results.get("strata", {}).items() if of.get("sources") != 0}
    columns = list(strata.values()) if len(strata) > 1 else []
    rows: list[list[str]] = [["", "all", *strata]] if columns else []
    left_out = {"strata", *(_DETAILS if "strata" in results else ())}
    for name in results:
        if name in left_out or name.startswith(_FAMILIES) or name.endswith(_INTERVAL):
            continue
        values = [shown(name, results), *(shown(name, {name: column.get(name)}) for column in columns)]
        if any(values):
            rows.append([name.replace("_", " "), *values])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[Any]]) -> str:
    """Rows of equal length as lines with columns below each other; None is a dash, a list an interval of floats."""
    cells = [["-" if value is None else _number(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(_GAP.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def folded(rows: Sequence[Sequence[Any]], width: int, names: int = 1) -> str:
    """As `aligned`, for rows that may be wider than the terminal.

    Args:
        rows: the first one holds headings, which stand on several lines where that makes a column narrower.
        width: characters of a line. What does not fit stands in a block of its own below.
        names: columns that each block begins with.
    """
    columns = [_column(*column) for column in zip(*rows, strict=True)]
    first, rest = columns[:names], columns[names:]
    blocks = [[*first]]
    for column in rest:
        if len(blocks[-1]) > names and _width([*blocks[-1], column]) > width:
            blocks.append([*first])
        blocks[-1].append(column)
    return "\n\n".join(_lines(block) for block in blocks)


def _column(heading: str, *cells: Any) -> list[str]:
    """The heading, words of which stand on lines of their own, and the cells, all equally wide."""
    shown = ["-" if cell is None else _number(cell) for cell in cells]
    width = max(map(len, [*heading.split(), *shown]))
    return ["\n".join(line.ljust(width) for line in wrap(heading, width)), *(cell.ljust(width) for cell in shown)]


def _width(columns: Sequence[Sequence[str]]) -> int:
    return len(_GAP.join(column[-1] for column in columns))


def _lines(columns: Sequence[Sequence[str]]) -> str:
    """Columns side by side; headings end on the same line."""
    headings = [column[0].split("\n")[::-1] for column in columns]
    blank = [" " * len(heading[0]) for heading in headings]
    lines = [[part or empty for part, empty in zip(line, blank, strict=True)] for line in zip_longest(*headings)][::-1]
    lines += [list(row) for row in zip(*(column[1:] for column in columns), strict=True)]
    return "\n".join(_GAP.join(line).rstrip() for line in lines)


def percent(share: float) -> str:
    """0.165 => 16.5 %, 0.0275 => 2.75 %, 0.9963 => 99.63 %: finer near both ends."""
    value = 100 * share
    return f"{value:.0f} %" if value in (0, 100) else f"{value:.{1 if 10 <= value <= 90 else 2}f} %"


def shown(name: str, column: Mapping[str, Any]) -> str:
    """A metric, and its interval where there is one; "" where it was not measured."""
    value, interval = column.get(name), column.get(f"{name}{_INTERVAL}")
    if value is None:
        return ""
    share = any(word in name.split("_") for word in _SHARES)
    ends = [inf if end is None else end for end in interval or ()]  # None = nobody knows how far it reaches
    words = [percent(one) if share else _number(one) for one in (value, *ends)]
    return words[0] if len(words) == 1 else f"{words[0]} ({words[1].removesuffix(' %')} to {words[2]})"


def _number(value: Any) -> str:
    if isinstance(value, list):  # an interval
        return " .. ".join(map(_number, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
