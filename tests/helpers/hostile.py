"""Files that somebody else made: pictures that are programs, claim any size, or are damaged; settings that act."""

import json
import struct
import zlib
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from latreg.runs.records import write_part
from tests.helpers.example_records import MEASURED, pair
from tests.helpers.settings import saved

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 32 32
%%EndComments
(/tmp/written_by_a_picture) (w) file closefile
showpage
%%EOF
"""


def png_of(width, height, rows=b""):
    """A PNG whose header claims a size, with the pixels of `rows`."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows or b"\0"))
        + chunk(b"IEND", b"")
    )


def encoded(format, size=32, mode="L"):
    """A black picture as the bytes of a file."""
    file = BytesIO()
    Image.new(mode, (size, size)).save(file, format=format)
    return file.getvalue()


def make_run(folder, rows=None, *overrides):
    """The folder of a finished search on MNIST with a valid fault."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(saved("+experiment=mnist_mixing", "search.sources_per_class=1", *overrides))
    status = {"state": "done", "seconds": 1.0, "weights": {"sut": "s" * 64}, "versions": {"latreg": "0"}}
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "metrics.json").write_text(json.dumps({"seconds": 1.0}))
    write_part(folder, 0, rows or [pair(label=label, z_seed=0, predicted=2) for label in (0, 1)], MEASURED)
    return folder


def change_rows(run, **values):
    """Give columns of all records of a run other values; images are given as bytes."""
    path = run / "records" / "part-00000.parquet"
    schema = pq.read_schema(path)
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        row.update({k: {"bytes": v, "path": None} if isinstance(v, bytes) else v for k, v in values.items()})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, write_page_checksum=True)
