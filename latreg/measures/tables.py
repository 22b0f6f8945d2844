"""Metrics as lines of text for a terminal or a log."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

_SHARES = ("rate", "accuracy", "agreement")  # words in the names of what is printed in percent
_INTERVAL = "_ci95"  # ends the name of the interval of what stands before it


def as_text(results: Mapping[str, Any]) -> str:
    """Results of any stage as aligned lines; those of a search with a column for each stratum.

    Shares are in percent, intervals in brackets behind what they belong to; what was not measured has no line.
    """
    columns = {"": results, **results.get("strata", {})}
    rows: list[list[str]] = [["", "all", *list(columns)[1:]]] if len(columns) > 1 else []
    for name in results:
        if name == "strata" or name.endswith(_INTERVAL):
            continue
        values = [shown(name, column) for column in columns.values()]
        if any(values):
            rows.append([name.replace("_", " "), *values])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[Any]]) -> str:
    """Rows of equal length as lines with columns below each other; None is a dash, a list an interval of floats."""
    cells = [["-" if value is None else _number(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells)


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
