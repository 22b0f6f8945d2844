"""A few pairs of each strategy and center as pictures, chosen by rule and not by eye."""

import base64
import io
from collections.abc import Iterator, Sequence
from os.path import commonpath

import numpy as np
from PIL import Image

from latreg.interfaces import BoundaryRecord
from latreg.measures.groups import Floats, by_centrality, group
from latreg.report.rows import RUNS, Pair
from latreg.report.runs import Study
from latreg.runs import strips
from latreg.runs.cell import Cell

VALID, INVALID = 8, 2  # groups of each kind, and so pairs, per data set, strategy and center
CANDIDATES = 300  # flips of each kind that are put into groups; of more, so many at equal distances in their order
SIDE = 16  # of the thumbnails whose pixels are compared

Origin = tuple[str, str]  # folder of a run, and the command that started it
Candidate = tuple[Cell, BoundaryRecord, Origin]


def gallery(study: Study) -> list[Pair]:
    """gallery.json: for each data set, strategy and center some valid faults and some flips that are not valid.

    The flips of all truncations are put into groups that look alike, and of each group the most central one is shown,
    the largest group first; no source is shown twice. Pairs whose images are missing are left out.
    """
    shown: list[Pair] = []
    for cells in _groups(study):
        taken: set[tuple[int, int]] = set()
        for valid, count in ((1, VALID), (0, INVALID)):
            shown += _pictures(_candidates(study, cells, valid), count, taken, study.flags)
    return shown


def _groups(study: Study) -> Iterator[list[Cell]]:
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in study.cells:
        groups.setdefault((cell.dataset, cell.strategy, cell.center), []).append(cell)
    yield from groups.values()


def _pictures(
    found: Sequence[Candidate], count: int, taken: set[tuple[int, int]], flags: Sequence[str]
) -> Iterator[Pair]:
    """Of each of so many groups the most central one whose source is not taken yet."""
    for members in _alike([record for _, record, _ in found], count):
        shown = next((found[i] for i in members if _source(found[i]) not in taken), None)
        if shown is not None:
            taken.add(_source(shown))
            yield _pair(*shown, flags, alike=len(members), of=len(found))


def _source(candidate: Candidate) -> tuple[int, int]:
    return candidate[1].label, candidate[1].z_seed


def _candidates(study: Study, cells: Sequence[Cell], valid: int) -> list[Candidate]:
    """Flips with their images, in the order of truncations and sources, spread evenly where there are too many."""
    flips: list[tuple[Cell, int, int]] = []
    for cell in cells:
        rows = study.cells[cell]
        rows = rows.where((rows.flipped == 1) & (rows.valid_fault == valid))
        rows = rows.where(np.lexsort([rows.label, rows.z_seed]))
        flips += [(cell, int(run), int(row)) for run, row in zip(rows.run, rows.row, strict=True)]
    n = min(len(flips), CANDIDATES)
    return list(_with_images(study, [flips[i * len(flips) // n] for i in range(n)]))


def _with_images(study: Study, flips: Sequence[tuple[Cell, int, int]]) -> Iterator[Candidate]:
    """Cell, number of the run and row in it => cell, record and origin; each run is read once."""
    for number in dict.fromkeys(run for _, run, _ in flips):
        own = [(cell, row) for cell, run, row in flips if run == number]
        for (cell, _), record in zip(own, study.runs[number].records([row for _, row in own]), strict=True):
            if record.source_image is not None and record.first_image is not None:
                yield cell, record, _origin(study, number)


def _origin(study: Study, number: int) -> Origin:
    """A folder that was given by its full path stands below RUNS, which names no machine."""
    path = study.runs[number].path
    if path.is_absolute():
        path = RUNS / path.relative_to(commonpath([run.path.absolute().parent for run in study.runs]))
    return str(path), study.runs[number].command


def _alike(flips: Sequence[BoundaryRecord], groups: int) -> list[list[int]]:
    """The numbers of those whose first wrong images look alike."""
    looks = np.array([_look(record.first_image) for record in flips if record.first_image is not None])
    return by_centrality(looks, group(looks, groups)) if len(looks) else []


def _look(image: np.ndarray) -> Floats:
    """An image (1 or 3, H, W) uint8 of any size => the pixels of its thumbnail in colour, on [0, 1]."""
    pixels = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    thumbnail = Image.fromarray(np.ascontiguousarray(pixels)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(thumbnail, dtype=np.float64).ravel() / 255


def _pair(cell: Cell, record: BoundaryRecord, origin: Origin, flags: Sequence[str], alike: int, of: int) -> Pair:
    place, command = origin
    assert record.predicted is not None
    file = io.BytesIO()
    Image.fromarray(strips.strip(record)).save(file, format="PNG", optimize=True)
    return Pair(
        cell=cell,
        psi=record.psi_first,
        source_psi=record.source_psi,
        label=record.label,
        predicted=record.predicted,
        z_seed=record.z_seed,
        layers=record.layers,
        alpha=record.alpha_first,
        p_source=record.source_confidence,
        p_last=record.confidence(record.last_probabilities),
        p_first=record.confidence(record.first_probabilities),
        ssim=record.column("ssim"),
        flags={flag: record.column(flag) for flag in flags},
        valid_fault=record.valid_fault,
        png=base64.b64encode(file.getvalue()).decode(),
        robust_fault=record.robust_fault,
        p_severe=record.confidence(record.severe_probabilities),
        alike=alike,
        of=of,
        run=place,
        command=command,
    )
