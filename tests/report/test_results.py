"""The files of results."""

import pytest

from latreg.errors import LatregError
from latreg.report import digest, results
from latreg.report.gather import gather
from tests.helpers.studies import make_run, make_study, with_faults


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
        assert (ours.cell, ours.stratum) == (theirs.cell, theirs.stratum)
        assert ours.numbers == {name: kept(value) for name, value in theirs.numbers.items()}
    assert [pair.cell.truncation for pair in read.gallery] == [pair.cell.truncation for pair in gathered.gallery]
    for row, other in zip(read.comparisons, gathered.comparisons, strict=True):
        assert (row.first, row.second) == (other.first, other.second)
    assert read.study["datasets"] == gathered.study["datasets"]
    results.write(read, tmp_path / "again")
    for path in tmp_path.glob("*.*"):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["2024", "2024_01", "1e3", "nan", "True"])
def test_names_that_look_like_something_else_stay_names(name, tmp_path):
    for strategy in ("mixing", "random"):
        make_run(tmp_path / "runs" / strategy, with_faults(20, 5), strategy, dataset=name)
    make_run(tmp_path / "runs" / "own", with_faults(20, 5), name, dataset=name)
    results.write(gather([tmp_path / "runs"]), tmp_path / "results")
    read = results.read(tmp_path / "results")
    for table in (read.cells, read.budget, read.classes):
        assert {row.cell.dataset for row in table} == {name}
    assert {row.dataset for row in read.comparisons} == {name}
    assert {row.cell.strategy for row in read.cells} == {"mixing", "random", name}
    assert all(best.row for best in digest.best(read))


def test_the_same_runs_give_the_same_files(gathered, tmp_path):
    results.write(gathered, tmp_path / "a")
    results.write(gather([make_study(tmp_path / "study")]), tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes()


def test_a_file_that_lacks_a_column_is_refused(gathered, tmp_path):
    results.write(gathered, tmp_path)
    path = tmp_path / "budget.csv"
    path.write_text(path.read_text().replace("queries", "asked"))
    with pytest.raises(LatregError, match=r"expected the results of a study in .*budget\.csv.*queries"):
        results.read(tmp_path)


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
