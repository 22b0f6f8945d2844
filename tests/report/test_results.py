"""The files of results."""

import pytest

from latreg.errors import LatregError
from latreg.report import results
from latreg.report.gather import gather
from tests.report.studies import make_study


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    return gather([make_study(tmp_path_factory.mktemp("study"))])


def kept(value):
    if value in ("", float("inf")):
        return None
    return pytest.approx(value, rel=1e-5) if isinstance(value, float) else value


def test_results_are_read_as_they_were_written_to_six_digits(gathered, tmp_path):
    results.write(gathered, tmp_path)
    read = results.read(tmp_path)
    assert len(read.cells) == len(gathered.cells)
    for ours, theirs in zip(read.cells, gathered.cells, strict=True):
        assert {name: ours[name] for name in theirs} == {name: kept(value) for name, value in theirs.items()}
    assert read.study["datasets"] == gathered.study["datasets"]
    results.write(read, tmp_path / "again")
    for path in tmp_path.glob("*.*"):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_the_same_runs_give_the_same_files(gathered, tmp_path):
    results.write(gathered, tmp_path / "a")
    results.write(gather([make_study(tmp_path / "study")]), tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes()


def test_what_has_no_end_is_empty():
    assert results._cell(float("inf")) == results._cell(float("nan")) == results._cell(None) == ""


def test_other_versions_and_missing_files_are_refused(gathered, tmp_path):
    results.write(gathered, tmp_path)
    (tmp_path / "claims.json").write_text('{"version": 0, "claims": []}')
    with pytest.raises(LatregError, match=r"expected results of version 1 in .*claims\.json, got version 0"):
        results.read(tmp_path)
    (tmp_path / "claims.json").write_text("{")
    with pytest.raises(LatregError, match=r"expected the results of a study in .*claims\.json"):
        results.read(tmp_path)
    with pytest.raises(LatregError, match="expected the results of a study"):
        results.read(tmp_path / "nothing")
