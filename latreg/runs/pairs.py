"""All pairs that the searches of a run reported, as small parquet parts beside those of the records.

    datasets.load_dataset("<run folder>/pairs")

A record holds the best pair of its source; here stand the others too, without images. pairs/part-<index>.parquet
belongs to the part of the records with that index, and counts only where that is there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from latreg.errors import LatregError
from latreg.interfaces import Columns, ReportedPair, Source
from latreg.runs import columns
from latreg.runs.files import replacing

FOLDER = "pairs"
_FIELDS = columns.annotations_of(ReportedPair, "measured")


def write_pairs(
    run_dir: Path, name: str, pairs: Iterable[ReportedPair], measured: Columns, class_names: Sequence[str] = ()
) -> None:
    """Write pairs/<name> below the run's folder, whole or not at all.

    Args:
        run_dir: the run's folder.
        name: of the file, that of its part of the records.
        pairs: its rows.
        measured: what the gates of the run measure.
        class_names: of the data set, by which `datasets` shows labels.

    Raises:
        LatregError: the disk is full, or the folder cannot be written.
    """
    rows = [{**{field: getattr(pair, field) for field in _FIELDS}, **pair.measured} for pair in pairs]
    schema = columns.schema({**_FIELDS, **columns.optional(measured)}, class_names=class_names)
    table = pa.Table.from_pylist(rows, schema=schema)
    with replacing(run_dir / FOLDER / name) as file:
        pq.write_table(table, file, write_page_checksum=True)


def read_pairs(run_dir: Path, parts: Sequence[Path]) -> list[ReportedPair]:
    """The pairs of these parts of the records; of parts that are older than this table there are none.

    Raises:
        LatregError: a file is damaged or holds other columns.
    """
    paths = [run_dir / FOLDER / part.name for part in parts]
    return [pair for path in paths if path.is_file() for pair in _read(path)]


def by_source(pairs: Iterable[ReportedPair]) -> dict[Source, list[ReportedPair]]:
    """The pairs of each source, in the order in which they were reported."""
    found: dict[Source, list[ReportedPair]] = {}
    for pair in pairs:
        found.setdefault(Source(pair.label, pair.z_seed), []).append(pair)
    return found


def _read(path: Path) -> list[ReportedPair]:
    try:
        with path.open("rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            table = file.read()
        if not set(_FIELDS) <= set(table.column_names):
            raise LatregError(f"expected the pairs of a search in {path}, got other columns")
        return [_from_row(row) for row in table.to_pylist()]
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, MemoryError) as error:
        raise LatregError(f"expected the pairs of a search in {path}, but they cannot be read: {error}") from error


def _from_row(row: dict[str, Any]) -> ReportedPair:
    own = {field.name: row.pop(field.name) for field in fields(ReportedPair) if field.name != "measured"}
    return ReportedPair(**own, measured=row)
