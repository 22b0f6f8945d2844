"""The saved faults of a run, for those who use them further: export, retest and replay."""

from collections.abc import Iterator
from pathlib import Path

from latreg.config import DatasetConfig
from latreg.errors import LatregError
from latreg.interfaces import BoundaryRecord
from latreg.runs import records


def read_faults(run_dir: Path, dataset: DatasetConfig, all_flipped: bool = False) -> list[BoundaryRecord]:
    """The rows with a valid fault, or with any that flipped the classifier; `first_image` is the fault.

    Raises:
        LatregError: the folder holds no records that can be read, none that fit the data set of the run, or no such
            fault.
    """
    rows = list(read_fitting(run_dir, dataset))
    faults = [row for row in rows if (row.flipped if all_flipped else row.valid_fault)]
    if not faults:
        flipped = sum(row.flipped for row in rows)
        raise LatregError(
            f"expected {'faults' if all_flipped else 'valid faults'} in {run_dir}, got none of {len(rows)} sources"
            + (f"; --all-flipped takes the {flipped} that are not valid" if flipped else "")
        )
    if any(fault.predicted is None or fault.source_image is None or fault.first_image is None for fault in faults):
        raise LatregError(f"expected each fault in {run_dir} with its images and the answer to it, but some have none")
    return faults


def read_fitting(run_dir: Path, dataset: DatasetConfig) -> Iterator[BoundaryRecord]:
    """The records of a run, whose images and classes must be those of its data set.

    Raises:
        LatregError: they are not, or cannot be read.
    """
    classes = len(dataset.class_names)
    for record in records.read_records(run_dir, image_shape(dataset)):
        if max(record.label, record.predicted or 0, record.rival or 0) >= classes:
            raise LatregError(
                f"expected records of the {classes} classes that config.yaml names in {run_dir}, got class "
                f"{record.label} taken for {record.predicted}"
            )
        yield record


def image_shape(dataset: DatasetConfig) -> records.Shape:
    """Of the images that are generated for a data set."""
    return dataset.channels, dataset.resolution, dataset.resolution
