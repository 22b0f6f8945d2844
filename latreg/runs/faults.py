"""The saved faults of a run, for those who use them further: export and retest."""

from pathlib import Path

from latreg.errors import LatregError
from latreg.interfaces import BoundaryRecord
from latreg.runs import records


def read_faults(run_dir: Path, all_flipped: bool = False) -> list[BoundaryRecord]:
    """The rows with a valid fault, or with any that flipped the classifier; `first_image` is the fault.

    Raises:
        LatregError: the folder holds no records that can be read, or no such fault.
    """
    rows = list(records.read_records(run_dir))
    faults = [row for row in rows if (row.flipped if all_flipped else row.valid_fault)]
    if not faults:
        flipped = sum(row.flipped for row in rows)
        raise LatregError(
            f"expected {'faults' if all_flipped else 'valid faults'} in {run_dir}, got none of {len(rows)} sources"
            + (f"; --all-flipped takes the {flipped} that are not valid" if flipped else "")
        )
    return faults
