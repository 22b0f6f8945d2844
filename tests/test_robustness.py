"""Full disks, folders that cannot be written and damaged files cost one sentence, and a resumed run is whole."""

import errno
import json
import os
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from latreg import merge
from latreg.runs import records
from latreg.runs.folder import PROBE_BYTES, read_status
from latreg.runs.records import measured_columns, part_paths, read_records, write_part
from tests.helpers.same_records import assert_same

SEARCH = ("+experiment=mnist_random", "search.classes=[2,8]", "search.max_queries_per_source=30", "device=cpu")
SEARCH += ("classifier.probe_images=0", "search.part_size=2")


@contextmanager
def no_files_above(size):
    """The system refuses to let a file grow beyond so many bytes, as a full disk would."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def assert_one_sentence(text, *parts):
    """Besides what Hydra says about the command."""
    lines = [line for line in text.splitlines() if line and not line.startswith(("Error executing job", "Set the env"))]
    assert len(lines) == 1, text
    assert all(part in lines[0] for part in parts), text


def test_a_full_disk_is_one_sentence_and_costs_nothing_that_was_saved(cli, tmp_path):
    run = tmp_path / "run"
    command = (*SEARCH, f"hydra.run.dir={run}", "resume=true")
    assert cli(*command, "search.sources_per_class=1")[0] == 0
    (part,) = part_paths(run)
    before = part.read_bytes()
    with no_files_above(PROBE_BYTES + 1000):
        assert len(before) > PROBE_BYTES + 1000
        code, _, err = cli(*command, "search.sources_per_class=3")
    assert code == 1
    assert_one_sentence(err, "part-00001.parquet", "File too large")
    assert "File too large" in read_status(run)["error"]
    assert part_paths(run) == [part]
    assert part.read_bytes() == before

    assert cli(*command, "search.sources_per_class=3")[0] == 0
    assert cli(*SEARCH, f"hydra.run.dir={tmp_path / 'whole'}", "search.sources_per_class=3")[0] == 0
    assert_same(list(read_records(run)), list(read_records(tmp_path / "whole")))


def vanish(run, monkeypatch):
    shutil.rmtree(run)


def turn_read_only(run, monkeypatch):
    """Also for root, whom no mode of a folder stops."""

    def refuse(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("latreg.runs.files.os.replace", refuse)


@pytest.mark.parametrize(
    ("fault", "reason"), [(vanish, "the folder of this run is gone"), (turn_read_only, "Read-only file system")]
)
def test_a_folder_that_is_lost_on_the_way_is_one_sentence(fault, reason, cli, tmp_path, monkeypatch):
    run, write = tmp_path / "run", records.write_part

    def write_and_lose(*arguments):
        path = write(*arguments)
        fault(run, monkeypatch)
        return path

    monkeypatch.setattr(records, "write_part", write_and_lose)
    code, _, err = cli(*SEARCH, f"hydra.run.dir={run}", "search.sources_per_class=2")
    assert code == 1
    assert_one_sentence(err, str(run), reason)
    assert run.exists() == (fault is turn_read_only)


@pytest.mark.parametrize("where", ["hydra.run.dir", "hydra.sweep.dir"])
def test_a_folder_that_cannot_be_made_is_one_sentence(cli, tmp_path, where):
    (tmp_path / "file").touch()
    multirun = ["-m"] if where == "hydra.sweep.dir" else []
    code, _, err = cli(*multirun, *SEARCH, f"{where}={tmp_path / 'file' / 'run'}")
    assert "must be in a folder that can be written" in code  # the message of sys.exit
    assert err == ""


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_records_that_cannot_be_written_are_one_sentence(cli, tmp_path):
    run = tmp_path / "run"
    command = (*SEARCH, f"hydra.run.dir={run}", "resume=true")
    assert cli(*command, "search.sources_per_class=1")[0] == 0
    (run / "records").chmod(0o500)
    code, _, err = cli(*command, "search.sources_per_class=2")
    (run / "records").chmod(0o700)
    assert code == 1
    assert_one_sentence(err, "part-00001.parquet", "Permission denied")
    assert cli(*command, "search.sources_per_class=2")[0] == 0


def test_a_damaged_part_is_named_and_searched_again(cli, tmp_path):
    run = tmp_path / "run"
    command = (*SEARCH, f"hydra.run.dir={run}", "search.sources_per_class=3", "resume=true")
    assert cli(*command)[0] == 0
    whole, metrics = list(read_records(run)), json.loads((run / "metrics.json").read_text())
    damaged = part_paths(run)[1]
    damaged.write_bytes(b"garbage")
    (run / "run.log").write_text("")

    code, _, err = cli(*command)
    assert code == 0, err
    (warning,) = (run / "run.log").read_text().splitlines()
    assert str(damaged) in warning
    assert [path.read_bytes() for path in (run / "damaged").iterdir()] == [b"garbage"]
    assert_same(sorted(read_records(run), key=lambda r: (r.z_seed, r.label)), whole)
    again = json.loads((run / "metrics.json").read_text())
    times = ("seconds", "queries_per_second")
    assert {k: v for k, v in again.items() if k not in times} == {k: v for k, v in metrics.items() if k not in times}
    assert again["seconds"] > metrics["seconds"]


def test_other_weights_and_fewer_sources_are_refused(cli, tmp_path):
    run = tmp_path / "run"
    command = (*SEARCH, f"hydra.run.dir={run}", "resume=true")
    assert cli(*command, "search.sources_per_class=2")[0] == 0
    code, _, err = cli(*command, "search.sources_per_class=1")
    assert code == 1
    assert_one_sentence(err, "2 of its 4 are not among the 2 of this search")

    found = list(read_records(run))
    object.__setattr__(found[0], "generator_id", "f" * 64)
    write_part(run, 0, found[:2], measured_columns(run))
    code, _, err = cli(*command, "search.sources_per_class=2")
    assert code == 1
    assert_one_sentence(err, "the generator was ffffffffffff and is now")


def test_resuming_without_a_folder_takes_up_the_newest_run(cli):
    command = (*SEARCH, "search.sources_per_class=1")
    first, second, third = (
        cli(*command, resume)[1].splitlines()[-1] for resume in ("resume=false", *2 * ["resume=true"])
    )
    assert first == second == third
    assert Path(first).parts[-3] == "mnist_random"


def test_merging_into_a_folder_with_something_in_it_is_refused(cli, tmp_path, capfd):
    run = tmp_path / "run"
    assert cli(*SEARCH, "search.sources_per_class=1", "resume=true", f"hydra.run.dir={run}")[0] == 0
    assert merge.main([str(run), "-o", str(tmp_path / "merged")]) == 0
    assert merge.main([str(run), "-o", str(tmp_path / "merged")]) == 2
    assert "the output must be a new or empty folder" in capfd.readouterr().err


def test_a_refused_resumption_leaves_the_run_as_it_was(cli, tmp_path):
    run = tmp_path / "run"
    command = (*SEARCH, f"hydra.run.dir={run}", "search.uncertain_per_class=1")
    assert cli(*command, "search.sources_per_class=2")[0] == 0
    kept = {path: path.read_bytes() for path in run.glob("*.*") if path.suffix in (".json", ".yaml")}
    code, _, err = cli(*command, "search.sources_per_class=1", "resume=true")
    assert code == 1
    assert "needs the sources of" in err
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_run_without_its_settings_is_not_resumed(cli, tmp_path):
    run = tmp_path / "run"
    command = (*SEARCH, f"hydra.run.dir={run}")
    assert cli(*command)[0] == 0
    (run / "config.yaml").unlink()
    code, _, err = cli(*command, "resume=true")
    assert code == 1
    assert "has no config.yaml" in err
