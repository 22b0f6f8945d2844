"""A few pairs of each strategy and center as pictures, chosen by rule and not by eye."""

import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from latreg import strips
from latreg.interfaces import BoundaryRecord
from latreg.report.runs import Cell, Rows, Study

VALID, INVALID = 6, 2  # pairs of each kind, per data set, strategy and center

Row = dict[str, Any]


def gallery(study: Study) -> list[Row]:
    """gallery.json: for each data set, strategy and center some valid faults and some flips that are not valid.

    They are spread evenly over all flips in the order of truncations and sources; no source is shown twice. Pairs
    whose images are missing are left out.
    """
    shown: list[Row] = []
    for cells in _groups(study):
        taken: set[tuple[int, int]] = set()
        for valid, count in ((1, VALID), (0, INVALID)):
            for cell, number, row in _spread(study, cells, valid, count, taken):
                (record,) = study.runs[number].records([row])
                if record.source_image is not None and record.first_image is not None:
                    shown.append(_picture(cell, record))
    return shown


def _groups(study: Study) -> Iterator[list[Cell]]:
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in study.cells:
        groups.setdefault((cell.dataset, cell.strategy, cell.center), []).append(cell)
    yield from groups.values()


def _spread(
    study: Study, cells: Sequence[Cell], valid: int, count: int, taken: set[tuple[int, int]]
) -> Iterator[tuple[Cell, int, int]]:
    """Cell, number of the run, and row in it."""
    flips: list[tuple[Cell, Rows]] = []
    for cell in cells:
        rows = study.cells[cell]
        flips.append((cell, rows.where((rows.flipped == 1) & (rows.valid_fault == valid))))
    found = [(cell, rows, i) for cell, rows in flips for i in np.lexsort([rows.label, rows.z_seed])]
    wanted = np.linspace(0, len(found), count, endpoint=False).astype(int)
    for first in dict.fromkeys(wanted.tolist()):
        for cell, rows, i in found[first:]:
            source = rows.sources()[i]
            if source not in taken:
                taken.add(source)
                yield cell, int(rows.run[i]), int(rows.row[i])
                break


def _picture(cell: Cell, record: BoundaryRecord) -> Row:
    file = io.BytesIO()
    Image.fromarray(strips.strip(record)).save(file, format="PNG", optimize=True)
    return {
        "dataset": cell.dataset,
        "strategy": cell.strategy,
        "truncation": cell.truncation,
        "psi": record.psi_first,
        "source_psi": record.source_psi,
        "center": cell.center,
        "variant": cell.variant,
        "label": record.label,
        "predicted": record.predicted,
        "z_seed": record.z_seed,
        "layers": record.layers,
        "alpha": record.alpha_first,
        "p_source": record.source_confidence,
        "p_last": None if record.last_probabilities is None else record.last_probabilities[record.label],
        "p_first": None if record.first_probabilities is None else record.first_probabilities[record.label],
        "ssim": record.ssim,
        "screened": record.screened,
        "in_distribution": record.in_distribution,
        "label_kept": record.label_kept,
        "valid_fault": record.valid_fault,
        "png": base64.b64encode(file.getvalue()).decode(),
    }
