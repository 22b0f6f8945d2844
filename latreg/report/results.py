"""The results of a study as small text files, in a stable order: all that figures and the page read.

cells.csv        one row per cell and stratum: counts, rates, costs, medians, with intervals
budget.csv       valid faults against queries spent
classes.csv      from which class to which
comparisons.csv  every test behind the claims
claims.json      the claims with their verdicts
gallery.json     some pairs as pictures (PNG as base64)
people.json      what people said of faults; only where they were asked
study.json       settings, weights, versions, commands, notes
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from latreg.errors import LatregError
from latreg.json_files import MAX_JSON, read_json
from latreg.names import check_name
from latreg.report.rows import BudgetRow, CellRow, ClaimRow, ClassRow, Comparison, Pair, People, Raw
from latreg.runs.files import replacing, writing

VERSION = 1  # of the tables; count up when they change
CHOSEN = "chosen"  # the sources that were chosen because the SUT is not sure of them; all others were drawn
STRATA = ("all", "confident", "uncertain", CHOSEN)  # of the cells
DIGITS = 6  # significant ones of a number
TEXT = {  # columns of words, also where one of them looks like a number
    *("dataset", "strategy", "truncation", "center", "variant", "stratum"),
    *("measure", "first", "second", "effect_name", "test"),
}


@dataclass(frozen=True)
class Results:
    """The tables by the names of their files."""

    study: Raw
    cells: list[CellRow]
    budget: list[BudgetRow]
    classes: list[ClassRow]
    comparisons: list[Comparison]
    claims: list[ClaimRow]
    gallery: list[Pair]
    people: list[People] = field(default_factory=list)

    @property
    def gates(self) -> list[str]:
        """The gates of the runs: cells.csv has their columns between those of the flips and of all gates."""
        names = list(self.cells[0].numbers) if self.cells else ["flipped", "all_gates"]
        return names[names.index("flipped") + 1 : names.index("all_gates")]


_JSON = ("study", "claims", "gallery", "people")
_OPTIONAL = ("people",)
_NAMES = [field.name for field in fields(Results)]
_ROWS: dict[str, type[CellRow | BudgetRow | ClassRow | Comparison | ClaimRow | Pair | People]] = {
    "cells": CellRow,
    "budget": BudgetRow,
    "classes": ClassRow,
    "comparisons": Comparison,
    "claims": ClaimRow,
    "gallery": Pair,
    "people": People,
}


def write(results: Results, folder: Path, names: Sequence[str] = ()) -> None:
    """Write all files of a folder, or those of some tables, each whole or not at all.

    Raises:
        LatregError: the folder cannot be written.
    """
    for name in names or _NAMES:
        content = getattr(results, name)
        if name in _OPTIONAL and not content:
            with writing(folder):
                _path(folder, name).unlink(missing_ok=True)
            continue
        if name in _ROWS:
            content = [row.raw() for row in content]
        text = _to_json(name, content) if name in _JSON else _to_csv(content)
        with replacing(_path(folder, name)) as file:
            file.write(text.encode())


def read(folder: Path) -> Results:
    """What `write` wrote.

    Raises:
        LatregError: a file is missing, damaged, or of another version.
    """
    tables: dict[str, Any] = {}
    for name in _NAMES:
        path = _path(folder, name)
        if name in _OPTIONAL and not path.exists():
            continue
        try:
            table = _from_json(path) if name in _JSON else _from_csv(path)
            tables[name] = [_ROWS[name].read(row) for row in table] if name in _ROWS else table
        except KeyError as error:
            raise LatregError(f"expected the results of a study in {folder}, but {path.name} has no {error}") from error
        except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
            raise LatregError(f"expected the results of a study in {folder}, but {path.name}: {error}") from error
    _check_names(tables)
    return Results(**tables)


def _check_names(tables: Mapping[str, Any]) -> None:
    """Refuse names of data sets that would lead figures out of their folder."""
    datasets = tables["study"].get("datasets")
    if not isinstance(datasets, dict):
        raise LatregError("expected the data sets of a study in study.json, got none")
    cells = [row.cell for name in ("cells", "budget", "classes", "gallery") for row in tables[name]]
    for dataset in {*datasets, *(cell.dataset for cell in cells)}:
        check_name("dataset", dataset)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.{'json' if name in _JSON else 'csv'}"


def _to_json(name: str, content: Any) -> str:
    return json.dumps({"version": VERSION, name: _rounded(content)}, indent=1, ensure_ascii=False) + "\n"


def _from_json(path: Path) -> Any:
    document = read_json(path)
    version = document.get("version") if isinstance(document, dict) else None
    if version != VERSION:
        raise LatregError(f"expected results of version {VERSION} in {path}, got version {version}")
    content = document.get(path.stem)
    rows = [content] if path.stem == "study" else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LatregError(f"expected rows of {path.stem} in {path}, got something else")
    return content


def _rounded(value: Any) -> Any:
    """Numbers with DIGITS significant digits, at any depth; JSON has no infinity, so that becomes None."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return _parse(_cell(value)) if isinstance(value, float) else value


def _to_csv(table: list[Raw]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in table for name in row))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in table)
    return text.getvalue()


def _from_csv(path: Path) -> list[Raw]:
    if (size := path.stat().st_size) > MAX_JSON:
        raise LatregError(f"it must have at most {MAX_JSON} bytes, got {size}")
    text = path.read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return [{name: (cell or None) if name in TEXT else _parse(cell) for name, cell in row.items()} for row in rows]


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def _parse(cell: str) -> Any:
    """A number where it looks like one, None where it is empty."""
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            pass
    return {"True": True, "False": False, "": None}.get(cell, cell)
