"""The saved faults of a run, for those who use them further: export, retest and replay."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latreg.config import DatasetConfig
from latreg.errors import LatregError
from latreg.interfaces import BoundaryRecord, Value
from latreg.runs import records

ROBUST, VALID, FLIPPED = KINDS = ("robust", "valid", "flipped")  # of faults, each among the next


@dataclass(frozen=True, eq=False)
class Fault:
    """An image that the classifier gets wrong: the most severe valid one of a robust fault, else the first wrong one.

    Attributes:
        record: its row.
        image: (C, H, W) uint8.
        predicted: what the classifier takes it for.
        margin: p of its class minus that of the answer.
        measured: of this image by the gates.
    """

    record: BoundaryRecord
    image: np.ndarray
    predicted: int
    margin: float | None
    measured: Mapping[str, Value]


def is_kind(record: BoundaryRecord, kind: str) -> bool:
    """Whether a row holds a fault of this kind; what was not measured is not robust."""
    return {ROBUST: record.robust_fault is True, VALID: record.valid_fault, FLIPPED: record.flipped}[kind]


def fault_of(record: BoundaryRecord, kind: str) -> Fault | None:
    """The fault of a row; None where it has none of this kind, or not its image and the answer to it."""
    severe = kind == ROBUST and record.severe_image is not None
    image, predicted, margin, measured = (
        (record.severe_image, record.severe_predicted, record.severe_margin, record.severe_measured)
        if severe
        else (record.first_image, record.predicted, record.first_margin, record.measured)
    )
    if not is_kind(record, kind) or image is None or predicted is None:
        return None
    return Fault(record, image, predicted, margin, measured)


def read_faults(run_dir: Path, dataset: DatasetConfig, kind: str = ROBUST) -> list[Fault]:
    """All faults of a kind.

    Raises:
        LatregError: the folder holds no records that can be read, none that fit the data set of the run, or no such
            fault.
    """
    rows = list(read_fitting(run_dir, dataset))
    faults = [fault_of(row, kind) for row in rows if is_kind(row, kind)]
    if not faults:
        named = "faults" if kind == FLIPPED else f"{kind} faults"
        raise LatregError(f"expected {named} in {run_dir}, got none of {len(rows)} sources{_others(rows, kind)}")
    whole = [fault for fault in faults if fault is not None and fault.record.source_image is not None]
    if len(whole) < len(faults):
        raise LatregError(f"expected each fault in {run_dir} with its images and the answer to it, but some have none")
    return whole


def check_searched(faults: Iterable[Fault], sut_id: str) -> None:
    """Refuse another classifier than the one that gets the faults wrong.

    Raises:
        LatregError: a fault is another's.
    """
    if others := {fault.record.sut_id for fault in faults} - {sut_id}:
        raise LatregError(f"the run searched the classifier {others.pop()[:12]}, but its weights are now {sut_id[:12]}")


def _others(rows: Sequence[BoundaryRecord], kind: str) -> str:
    """What there is where there is no fault of a kind."""
    valid, flipped = (sum(is_kind(row, other) for row in rows) for other in (VALID, FLIPPED))
    if kind == ROBUST and valid:
        unknown = any(row.valid_fault and row.robust_fault is None for row in rows)
        return f"{', as the run did not measure it' * unknown}; --kind valid takes the {valid} that are valid"
    return f"; --kind flipped takes the {flipped} that are not valid" if flipped and kind != FLIPPED else ""


def read_fitting(run_dir: Path, dataset: DatasetConfig) -> Iterator[BoundaryRecord]:
    """The records of a run, whose images and classes must be those of its data set.

    Raises:
        LatregError: they are not, or cannot be read.
    """
    classes = len(dataset.class_names)
    for record in records.read_records(run_dir, image_shape(dataset)):
        if max(record.label, *(c or 0 for c in (record.predicted, record.rival, record.severe_predicted))) >= classes:
            raise LatregError(
                f"expected records of the {classes} classes that config.yaml names in {run_dir}, got class "
                f"{record.label} taken for {record.predicted}"
            )
        yield record


def image_shape(dataset: DatasetConfig) -> records.Shape:
    """Of the images that are generated for a data set."""
    return dataset.channels, dataset.resolution, dataset.resolution
