import dataclasses
import errno
import os

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latreg.errors import LatregError
from latreg.interfaces import BoundaryRecord, ReportedPair
from latreg.runs import records
from latreg.runs.records import VERSION, next_index, part_paths, read_records, recover_records, write_part
from tests.helpers.example_records import MEASURED, image, pair, record, severe

SCHEMA = records.schema_of(MEASURED)


def assert_equal(a, b):
    for field in dataclasses.fields(BoundaryRecord):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert type(x) is type(y), field.name
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
        else:
            assert x == y, field.name


def test_a_folder_whose_name_is_no_utf_8(tmp_path):
    (folder := tmp_path / os.fsdecode(b"run\xff")).mkdir()
    write_part(folder, 0, [pair(1)], MEASURED)
    (read,) = records.with_pairs(folder, read_records(folder))
    assert_equal(read, pair(1))


@pytest.mark.parametrize("channels", [1, 3])
def test_round_trip_is_exact(tmp_path, channels):
    written = [
        record(channels, accepted=False, rejected_because="margin", cutoff=0),
        pair(channels, first_probabilities=[], l2_rel=float("inf")),
        pair(channels, lpips=0.1, vae_error=0.2, in_distribution=False),
        severe(channels),
    ]
    write_part(tmp_path, 0, written[:2], MEASURED)
    write_part(tmp_path, 1, [], MEASURED)
    write_part(tmp_path, 2, written[2:], MEASURED)
    assert [path.name for path in part_paths(tmp_path)] == [f"part-0000{k}.parquet" for k in range(3)]
    read = list(read_records(tmp_path))
    assert len(read) == 4
    for a, b in zip(written, read, strict=True):
        assert_equal(a, b)
    read[0].source_image[0, 0, 0] = 1  # what is read may be written to


def test_numpy_scalars_are_stored_as_plain_ones(tmp_path):
    write_part(tmp_path, 0, [record(queries=np.int64(4), accepted=np.True_, source_margin=np.float32(0.25))], MEASURED)
    (read,) = read_records(tmp_path)
    assert (read.queries, read.accepted, read.source_margin) == (4, True, 0.25)
    assert type(read.accepted) is bool


def test_types_come_from_the_dataclass_and_not_from_the_rows(tmp_path):
    schema = pq.read_schema(write_part(tmp_path, 0, [record()], MEASURED))
    fields = [field.name for field in dataclasses.fields(BoundaryRecord)][:-3]
    assert schema.names == [*fields, *MEASURED, *(f"severe_{name}" for name in MEASURED)]
    assert schema.field("first_image").type == schema.field("source_image").type
    assert schema.field("layers").type == pa.list_(pa.int64())
    assert schema.field("in_distribution").type == pa.bool_()
    assert schema.field("cutoff").nullable
    assert not schema.field("label").nullable


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_hugging_face_datasets_opens_the_folder(tmp_path, channels, mode):
    write_part(tmp_path, 0, [record(channels)], MEASURED)  # a part without any pair must not confuse the types
    write_part(tmp_path, 1, [pair(channels)], MEASURED)
    data = datasets.load_dataset(str(tmp_path / "records"), split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(data.features["first_image"], datasets.Image)
    assert data.features["layers"] == datasets.List(datasets.Value("int64"))
    assert data[0]["first_image"] is None
    assert data[1]["source_image"].mode == mode
    expected = image(2, channels)
    np.testing.assert_array_equal(
        np.asarray(data[1]["first_image"]), expected[0] if channels == 1 else expected.transpose(1, 2, 0)
    )


def test_hugging_face_datasets_knows_the_classes_by_name(tmp_path):
    write_part(tmp_path, 0, [record()], MEASURED)  # of an older run that was taken up
    write_part(tmp_path, 1, [pair(label=1, predicted=2)], MEASURED, ["cat", "dog", "ü"])
    assert [row.label for row in read_records(tmp_path)] == [record().label, 1]
    assert records.read_columns(tmp_path, ["label"])["label"].to_pylist() == [record().label, 1]
    (tmp_path / "records" / "part-00000.parquet").unlink()
    data = datasets.load_dataset(str(tmp_path / "records"), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.features["label"].int2str(data[0]["label"]) == "dog"
    assert data.features["predicted"] == datasets.ClassLabel(names=["cat", "dog", "ü"])


def test_a_row_without_its_class_is_refused(tmp_path):
    path = write_part(tmp_path, 0, [pair(label=1, predicted=2)], MEASURED, ["cat", "dog", "bird"])
    table = pq.read_table(path)
    place = table.schema.get_field_index("label")
    table = table.set_column(place, table.schema.field(place), pa.nulls(1, pa.int64()))
    pq.write_table(table, path, write_page_checksum=True)
    with pytest.raises(LatregError, match=r"expected label in each row of .*part-00000.parquet, but some have none"):
        list(read_records(tmp_path))


@pytest.mark.parametrize(
    "bad", [{"label": None}, {"label": "three"}, {"source_image": np.zeros((1, 32, 32), np.float32)}]
)
def test_a_part_is_written_whole_or_not_at_all(tmp_path, bad):
    with pytest.raises((ValueError, TypeError, pa.ArrowException)):
        write_part(tmp_path, 0, [record(), record(**bad)], MEASURED)
    assert part_paths(tmp_path) == []


def test_a_failing_disk_leaves_the_old_part(tmp_path, monkeypatch):
    path = write_part(tmp_path, 0, [record()], MEASURED)
    before = path.read_bytes()

    def fail_half_way(table, where, **_):
        where.write(b"PAR1half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records.pq, "write_table", fail_half_way)
    with pytest.raises(LatregError, match=r"part-00000.parquet must be .* with free space, but: No space left"):
        write_part(tmp_path, 0, [pair()], MEASURED)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["truncated", "empty", "flipped bits"])
def test_a_damaged_part_is_named(tmp_path, where):
    write_part(tmp_path, 0, [record()], MEASURED)
    path = write_part(tmp_path, 1, [pair()] * 3, MEASURED)
    content = bytearray(path.read_bytes())
    for i in range(400, 420):
        content[i] ^= 0xFF
    path.write_bytes({"truncated": path.read_bytes()[:-100], "empty": b"", "flipped bits": bytes(content)}[where])
    with pytest.raises(LatregError, match=r"part-00001.parquet, but it cannot be read"):
        list(read_records(tmp_path))


def test_a_damaged_image_is_named(tmp_path, monkeypatch):
    encode = records.encode_png
    monkeypatch.setattr(records, "encode_png", lambda image: encode(image)[:-40])
    write_part(tmp_path, 0, [record()], MEASURED)
    with pytest.raises(LatregError, match=r"an image of class 1, .*part-00000.parquet cannot be read"):
        list(read_records(tmp_path))


@pytest.mark.parametrize(
    ("schema", "got"),
    [
        (SCHEMA.with_metadata({b"latreg_records_version": b"99"}), "got version 99"),
        (SCHEMA.remove_metadata(), "got version none"),
        (SCHEMA.remove(5), f"got version {VERSION} with {len(SCHEMA) - 1} columns"),
    ],
)
def test_unknown_versions_are_refused(tmp_path, schema, got):
    path = write_part(tmp_path, 0, [], MEASURED)
    pq.write_table(pa.Table.from_pylist([], schema=schema), path)
    with pytest.raises(LatregError, match=got):
        list(read_records(tmp_path))


def test_parts_that_are_older_than_strength_are_read_without_it(tmp_path):
    rows = [record(z_seed=1), pair(z_seed=2)]
    path = write_part(tmp_path, 0, rows, MEASURED)
    write_part(tmp_path, 1, [severe(z_seed=3)], MEASURED)
    old = records.schema_of(MEASURED, version=2)
    pq.write_table(pq.read_table(path).select(old.names).cast(old), path)
    first, second, third = read_records(tmp_path)
    unknown = {"robust_fault": None, "stability": None}
    unknown |= dict.fromkeys(("walk_queries", "stability_queries", "appraisals"))
    assert_equal(first, dataclasses.replace(rows[0], **unknown))
    assert_equal(second, dataclasses.replace(rows[1], **unknown))
    assert third.robust_fault is True
    table = records.read_columns(tmp_path, ["z_seed", "robust_fault", "severe_ssim"])
    assert table.to_pydict() == {
        "z_seed": [1, 2, 3],
        "robust_fault": [None, None, True],
        "severe_ssim": [None, None, 0.9],
    }


def reported(**values):
    """A pair of a source; its fields have plain values unless others are given."""
    kinds = {
        "label": 1,
        "z_seed": 5,
        "kept": True,
        "valid": True,
        "layers": [3, 4],
        "measured": dict.fromkeys(MEASURED),
    }
    fields = {field.name: 0 for field in dataclasses.fields(ReportedPair)}
    return ReportedPair(**fields | kinds | values)


def test_all_pairs_that_were_reported_stand_in_a_table_of_their_own(tmp_path):
    found = [reported(number=0, kept=False, alpha_last=0.25, severe_margin=None), reported(number=1, layers=None)]
    other = reported(z_seed=6, measured=dict.fromkeys(MEASURED) | {"ssim": 0.5})
    write_part(tmp_path, 0, [pair(z_seed=5, pairs=found), record(z_seed=9)], MEASURED)
    aside = write_part(tmp_path, 1, [pair(z_seed=6, pairs=[other])], MEASURED)
    assert [list(row.pairs) for row in records.with_pairs(tmp_path, read_records(tmp_path))] == [found, [], [other]]
    data = datasets.load_dataset(str(tmp_path / "pairs"), split="train", cache_dir=str(tmp_path / "cache"))
    assert (data.num_rows, data["layers"][:2]) == (3, [[3, 4], None])
    aside.unlink()  # its sources will be searched again
    assert [list(row.pairs) for row in records.with_pairs(tmp_path, read_records(tmp_path))] == [found, []]


@pytest.mark.parametrize("content", [b"", b"not a parquet file " * 500])
def test_damaged_pairs_are_named(tmp_path, content):
    write_part(tmp_path, 0, [pair(pairs=[reported()])], MEASURED)
    (tmp_path / "pairs" / "part-00000.parquet").write_bytes(content)
    with pytest.raises(LatregError, match=r"expected the pairs of a search in .*part-00000\.parquet"):
        records.with_pairs(tmp_path, [])


def test_a_run_without_parts(tmp_path):
    assert part_paths(tmp_path) == []
    with pytest.raises(LatregError, match="expected records/part"):
        list(read_records(tmp_path))


def other_version(path):
    schema = SCHEMA.with_metadata({b"latreg_records_version": b"99"})
    pq.write_table(pa.Table.from_pylist([], schema=schema), path)


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "garbage": lambda path: path.write_bytes(b"not a parquet file " * 500),
    "empty": lambda path: path.write_bytes(b""),
    "wrong schema": lambda path: pq.write_table(pa.table({"label": [1], "z_seed": [2]}), path),
    "other version": other_version,
    "a source again": lambda path: path.write_bytes(path.with_name("part-00000.parquet").read_bytes()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_part_is_set_aside_with_one_warning(tmp_path, caplog, damage):
    for index in range(3):
        write_part(tmp_path, index, [record(z_seed=2 * index), pair(z_seed=2 * index + 1)], MEASURED)
    path = part_paths(tmp_path)[1]
    DAMAGE[damage](path)
    content = path.read_bytes()
    assert [found.z_seed for found in recover_records(tmp_path)] == [0, 1, 4, 5]
    (warning,) = caplog.messages
    assert "part-00001.parquet" in warning
    (aside,) = (tmp_path / "damaged").iterdir()
    assert str(aside) in warning
    assert aside.read_bytes() == content
    assert [found.z_seed for found in read_records(tmp_path)] == [0, 1, 4, 5]
    assert next_index(tmp_path) == 3  # behind the others, and never in the place of one that is there


def test_parts_that_are_set_aside_do_not_replace_each_other(tmp_path):
    for _ in range(2):
        write_part(tmp_path, 0, [record()], MEASURED).write_bytes(b"")
        assert recover_records(tmp_path) == []
        assert next_index(tmp_path) == 0
    assert len(list((tmp_path / "damaged").iterdir())) == 2


def test_a_sound_or_new_run_is_recovered_without_a_warning(tmp_path, caplog):
    assert recover_records(tmp_path) == []
    write_part(tmp_path, 0, [record()], MEASURED)
    assert len(recover_records(tmp_path)) == 1
    assert caplog.messages == []
    assert not (tmp_path / "damaged").exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_happens_to_its_bytes_a_part_is_read_right_or_named(tmp_path, data):
    path = write_part(tmp_path, 0, [record(z_seed=1), pair(z_seed=2)], MEASURED)
    expected = list(read_records(tmp_path))
    content = bytearray(path.read_bytes())
    first = data.draw(st.integers(0, len(content) - 1))
    last = data.draw(st.integers(first + 1, len(content)))
    content[first:last] = data.draw(st.sampled_from([b"", bytes(last - first), bytes([content[first] ^ 1])]))
    path.write_bytes(bytes(content))
    try:
        found = list(read_records(tmp_path))
    except LatregError as error:
        assert str(path) in str(error)  # noqa: PT017 - it need not be raised
    else:
        for a, b in zip(found, expected, strict=True):
            assert_equal(a, b)
