"""Records on disk: parquet parts, one row per source and search, that Hugging Face `datasets` opens as they are.

    datasets.load_dataset("<run folder>/records")

The columns and their types are those of `BoundaryRecord`, and behind them those of the run's gates, so a column of
nothing but None keeps its type. Images are PNG bytes: mode L for one channel, RGB for three.
"""

import io
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from latreg.data.raster import opened
from latreg.errors import LatregError
from latreg.interfaces import SPACES, BoundaryRecord, Columns, Source
from latreg.runs import columns
from latreg.runs.columns import VERSION
from latreg.runs.files import replacing, writing
from latreg.runs.pairs import by_source, read_pairs, write_pairs

log = logging.getLogger(__name__)

READABLE = (2, 3, VERSION)  # versions; what an older one has not got is None
SEVERE = "severe_"  # before the names of what gates measured of the most severe point
_PART = re.compile(r"part-\d+\.parquet")
MAX_ROWS = 2**20  # of a part, which a file of some bytes may claim
MAX_SEED = 2**32 - 1
PNG = b"\x89PNG\r\n\x1a\n"  # how a file of that format begins

Shape = tuple[int, int, int]  # of an image: channels, height, width


def write_part(
    run_dir: Path,
    index: int,
    records: Sequence[BoundaryRecord],
    measured: Columns,
    class_names: Sequence[str] = (),
) -> Path:
    """Write records/part-<index>.parquet below the run's folder, whole or not at all, and before it that of its pairs.

    A part of that index is replaced. No records are allowed: the part then has columns and no rows.

    Args:
        run_dir: the run's folder.
        index: of the part.
        records: its rows.
        measured: what the gates of the run measure, the same for all its parts.
        class_names: of the data set, by which `datasets` shows labels.

    Raises:
        LatregError: the disk is full, or the folder cannot be written.
    """
    path = run_dir / "records" / f"part-{index:05d}.parquet"
    with writing(path):
        path.parent.mkdir(exist_ok=True)  # but not the run's folder: where that has gone, the parts before have too
    write_pairs(run_dir, path.name, (pair for record in records for pair in record.pairs), measured, class_names)
    table = pa.Table.from_pylist(
        [_to_row(record) for record in records], schema=schema_of(measured, VERSION, class_names)
    )
    with replacing(path) as file:
        pq.write_table(table, file, write_page_checksum=True)
    return path


def part_paths(run_dir: Path) -> list[Path]:
    """The parts of a run, in order; none before the first is written."""
    found = (run_dir / "records").glob("part-*.parquet")
    return sorted(path for path in found if _PART.fullmatch(path.name) and path.is_file())


def _some_parts(run_dir: Path) -> list[Path]:
    if paths := part_paths(run_dir):
        return paths
    raise LatregError(f"expected records/part-*.parquet in {run_dir}, but there are none")


def next_index(run_dir: Path) -> int:
    """The index of a new part, behind those that are there."""
    return max((int(path.stem.removeprefix("part-")) + 1 for path in part_paths(run_dir)), default=0)


def read_records(run_dir: Path, shape: Shape | None = None) -> Iterator[BoundaryRecord]:
    """The records of a run in the order in which they were written, a part at a time in memory.

    Args:
        shape: what the images of the run must have, None = any.

    Raises:
        LatregError: there are no parts, or one is damaged or of another version.
    """
    for path in _some_parts(run_dir):
        yield from read_part(path, shape)


def recover_records(run_dir: Path, shape: Shape | None = None) -> list[BoundaryRecord]:
    """The records of a run that is resumed, each source once.

    A part that cannot be read, or that holds a source again, is moved to the run's folder `damaged`, with a warning.

    Args:
        shape: what the images of the run must have, None = any.

    Raises:
        LatregError: it cannot be moved.
    """
    found: dict[Source, BoundaryRecord] = {}
    for path in part_paths(run_dir):
        try:
            part = read_part(path, shape)
            sources = [source_of(record) for record in part]
            if len(found.keys() | set(sources)) < len(found) + len(part):
                raise LatregError(f"expected each source once, but {path} holds some again")
        except LatregError as error:
            aside = _set_aside(path, run_dir / "damaged")
            log.warning("A part is damaged; it was moved to %s, and its sources are searched again: %s", aside, error)
        else:
            found.update(zip(sources, part, strict=True))
    return list(found.values())


def with_pairs(run_dir: Path, records: Iterable[BoundaryRecord]) -> Iterator[BoundaryRecord]:
    """Records of a run with all pairs that their searches reported.

    Raises:
        LatregError: a part of the pairs is damaged or holds other columns.
    """
    pairs = by_source(read_pairs(run_dir, part_paths(run_dir)))
    return (replace(record, pairs=pairs.get(source_of(record), ())) for record in records)


def source_of(record: BoundaryRecord) -> Source:
    """The source that a row is about."""
    return Source(record.label, record.z_seed)


def _set_aside(path: Path, folder: Path) -> Path:
    with writing(folder):
        folder.mkdir(exist_ok=True)
        number = sum(1 for _ in folder.iterdir())
        return path.rename(folder / f"{path.stem}-{number}{path.suffix}")


def read_part(path: Path, shape: Shape | None = None) -> list[BoundaryRecord]:
    """The records of one part, whose images must have that shape if one is given.

    Raises:
        LatregError: the file cannot be read, has columns of another version, or holds what no search writes.
    """
    return _from_rows(_read_table(path), path, shape)


def measured_columns(run_dir: Path) -> Columns:
    """What the gates of a run measured: the columns behind those of `BoundaryRecord`.

    Raises:
        LatregError: there are no parts, or the first is damaged or of another version.
    """
    path = _some_parts(run_dir)[0]
    with _opened(path) as file:
        return _measured(file.schema_arrow)


def read_columns(run_dir: Path, names: Sequence[str] | None = None) -> pa.Table:
    """Some columns (None = all) of all rows of a run, in the order in which they were written; images are PNG bytes.

    Raises:
        LatregError: there are no parts, one is damaged or of another version, or they have different columns.
    """
    try:
        return pa.concat_tables([_read_table(path, names) for path in _some_parts(run_dir)])
    except pa.ArrowInvalid as error:
        raise LatregError(f"expected the same columns in all parts of {run_dir}, but: {error}") from error


def read_rows(run_dir: Path, numbers: Sequence[int], shape: Shape | None = None) -> list[BoundaryRecord]:
    """The records with these row numbers, counted as in `read_columns`; only their images are decoded.

    Raises:
        LatregError: as `read_columns`, or an image cannot be read.
    """
    return _from_rows(read_columns(run_dir).take(list(numbers)), run_dir, shape)


_UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, MemoryError)


def _read_table(path: Path, names: Sequence[str] | None = None) -> pa.Table:
    """The columns of one part, None = all."""
    with _opened(path) as file:
        there = set(file.schema_arrow.names)
        table = file.read(None if names is None else [name for name in names if name in there])
        schema = schema_of(_measured(file.schema_arrow))
    return _only_png(_without_gaps(_completed(table, names, schema), path), path)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """One part, to be read.

    Raises:
        LatregError: it cannot be read, or has columns of another version.
    """
    try:
        # Arrow itself takes no name that is not UTF-8
        with path.open("rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            if rows > MAX_ROWS:
                raise LatregError(f"a part of records must have at most {MAX_ROWS} rows, got {rows} in {path}")
            version = columns.version_of(schema)
            known = int(version) if version in map(str, READABLE) else VERSION
            expected = schema_of(_measured(schema), known, columns.class_names_of(schema))
            # the metadata name the columns again, which tells a damaged name from that of a gate
            if not schema.equals(expected) or schema.metadata != expected.metadata:
                raise LatregError(
                    f"expected records of version {' or '.join(map(str, READABLE))} and their columns in {path}, got "
                    f"version {version} with {len(schema)} columns"
                )
            yield file
    except _UNREADABLE as error:
        raise LatregError(f"expected a part of records in {path}, but it cannot be read: {error}") from error


def _without_gaps(table: pa.Table, path: Path) -> pa.Table:
    """The same table; class numbers with names may be missing in a file, since `datasets` takes them only so."""
    if gaps := [field.name for field in table.schema if not field.nullable and table.column(field.name).null_count]:
        raise LatregError(f"expected {gaps[0]} in each row of {path}, but some have none")
    return table


def _only_png(table: pa.Table, path: Path) -> pa.Table:
    """The same table; `datasets` decodes its images with Pillow, which would start another program for some formats."""
    for name in set(table.column_names) & set(_IMAGES):
        cells = table.column(name)
        starts = pc.binary_slice(pc.struct_field(cells, "bytes"), 0, len(PNG)).unique().to_pylist()
        elsewhere = len(cells) - pc.struct_field(cells, "path").null_count
        if elsewhere or set(starts) - {PNG, None}:
            raise LatregError(f"{name} in {path} cannot be read as an image: it is none of PNG, or is damaged")
    return table


# ---- columns


def schema_of(measured: Columns, version: int = VERSION, class_names: Sequence[str] = ()) -> pa.Schema:
    """The columns of a part, with those that the gates of its run measure: of the first wrong image, and of the severe
    one, which version 2 did not have.
    """
    strength = columns.optional(measured, SEVERE) if version >= 3 else {}
    own = {name: of for name, of in _FIELDS.items() if version >= _SINCE.get(name, 0)}
    return columns.schema({**own, **columns.optional(measured), **strength}, version, class_names)


def _measured(schema: pa.Schema) -> Columns:
    """What the gates measured of the first wrong image; columns of types that gates cannot measure are left out."""
    return {
        field.name: columns.KINDS[field.type]
        for field in schema
        if field.name not in _FIELDS and not field.name.startswith(SEVERE) and field.type in columns.KINDS
    }


def _completed(table: pa.Table, names: Sequence[str] | None, schema: pa.Schema) -> pa.Table:
    """The same table with the columns that are newer than it, of nothing but None."""
    fields = [schema.field(name) for name in names or schema.names]
    cells = [
        table.column(field.name) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in fields
    ]
    return pa.table(cells, schema=pa.schema(fields, metadata=schema.metadata))


_FIELDS = columns.annotations_of(BoundaryRecord, "measured", "severe_measured", "pairs")
_IMAGES = columns.images_in(_FIELDS)
_SINCE_3 = (
    *("robust_fault", "stability", "severe_stability", "severe_psi", "severe_alpha", "severe_margin"),
    *("severe_predicted", "severe_probabilities", "severe_image"),
    *("walk_queries", "stability_queries", "appraisals", "held_out_id"),
)
_SINCE_4 = ("density_id", "space", "latent_last", "latent_first", "severe_latent")
_SINCE = dict.fromkeys(_SINCE_3, 3) | dict.fromkeys(_SINCE_4, 4)  # the version of which a column is, others: the oldest


# ---- rows


def _to_row(record: BoundaryRecord) -> dict[str, Any]:
    severe = {SEVERE + name: value for name, value in record.severe_measured.items()}
    row = {**{name: getattr(record, name) for name in _FIELDS}, **record.measured, **severe}
    return _convert_images(row, lambda image: {"bytes": encode_png(image), "path": None})


def _from_rows(table: pa.Table, path: Path, shape: Shape | None) -> list[BoundaryRecord]:
    try:
        rows = table.to_pylist()
    except _UNREADABLE as error:
        raise LatregError(f"expected records in {path}, but their values cannot be read: {error}") from error
    return [_from_row(row, path, shape) for row in rows]


def _from_row(row: dict[str, Any], path: Path, shape: Shape | None) -> BoundaryRecord:
    image = f"an image of class {row['label']}, z_seed {row['z_seed']} in {path}"
    others = {name: value for name, value in row.items() if name not in _FIELDS}
    severe = {name: others.pop(SEVERE + name) for name in list(others) if SEVERE + name in others}
    own = {name: row[name] for name in _FIELDS}
    own = _convert_images(own, lambda cell: _decode(cell["bytes"], image, shape))
    record = BoundaryRecord(
        **own,
        measured=others if row["flipped"] else {},
        severe_measured=severe if row["severe_image"] else {},
    )
    if problem := _problem(record):
        raise LatregError(f"expected records of a search in {path}, but a row has {problem}")
    return record


def _problem(record: BoundaryRecord) -> str | None:
    """What no search writes, or None."""
    classes = [record.label, record.source_predicted, record.predicted, record.rival, record.severe_predicted]
    seeds = [seed for seed in (record.z_seed, record.partner_z_seed) if seed is not None]
    images = [getattr(record, name) for name in _IMAGES]
    if negative := [c for c in classes if c is not None and c < 0]:
        return f"the class {negative[0]}"
    if outside := [seed for seed in seeds if not 0 <= seed <= MAX_SEED]:
        return f"the seed {outside[0]}"
    if record.flipped and record.predicted is None:
        return "a flip without the answer of the classifier"
    if record.space not in (None, *SPACES):
        return f"a latent in the space {record.space!r}"
    if len({image.shape for image in images if image is not None}) > 1:
        return "images of differing sizes"
    return None


def _convert_images(row: dict[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    return row | {name: convert(row[name]) for name in _IMAGES if row[name] is not None}


def encode_png(image: np.ndarray) -> bytes:
    """An image (1 or 3, H, W) uint8 as the bytes of a PNG file."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(f"an image of a record must be uint8 (1 or 3, H, W), got {image.dtype} {image.shape}")
    pixels = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG")
    return file.getvalue()


def _decode(png: bytes | None, name: str, shape: Shape | None) -> np.ndarray:
    """PNG => (1 or 3, H, W) uint8. Its header is looked at first, as it may claim any size."""
    with opened(png or b"", name, formats=("PNG",)) as image:
        found = (len(image.getbands()), image.height, image.width)
        if image.mode not in ("L", "RGB") or found != (shape or found):
            wanted = "8 bits per channel, gray or RGB" if shape is None else f"the shape {shape}"
            raise LatregError(f"{name} must have {wanted}, got the shape {found} in the mode {image.mode}")
        image.load()
        pixels = np.asarray(image)
    return pixels[None].copy() if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
