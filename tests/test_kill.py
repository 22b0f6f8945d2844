"""Runs that are killed, with everything that belongs to them, and taken up again by the same command."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from latreg.runs.folder import read_status
from latreg.runs.records import part_paths, read_part, read_records
from tests.helpers.same_records import assert_same

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")

KILLS = 20
SEARCH = ["+experiment=mnist_mixing", "search.classes=[4,5,7]", "strategy.layer_sets=[[7],[0,1,2,3,4,5]]", "device=cpu"]
SEARCH += ["tracking=disabled", "classifier.probe_images=0", "resume=true"]


def start(run_dir, *overrides):
    """A run in a process group of its own."""
    command = [sys.executable, "-m", "latreg.run", *SEARCH, f"hydra.run.dir={run_dir}", *overrides]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # tests in a shell's background ignore it, and so would this
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)


def group(process):
    """Ids and command lines of the living processes that a run consists of."""
    members = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, pgrp = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == process.pid and state != "Z":
                members[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:  # it has just ended
            continue
    return members


def workers(process):
    return [pid for pid, command in group(process).items() if "spawn_main" in command]


def wait_until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def end(process):
    """Wait for the end => exit code, what it said."""
    _, err = process.communicate(timeout=500)
    return process.returncode, err


@pytest.fixture
def at_work(tmp_path):
    """A run with two workers that has saved its first part, and is not finished."""
    run_dir = tmp_path / "run"
    size = ("search.sources_per_class=20", "search.part_size=8", "search.max_queries_per_source=20")
    process = start(run_dir, "search.workers=2", *size)
    try:
        wait_until(lambda: part_paths(run_dir) or process.poll() is not None)
        assert len(workers(process)) == 2
        yield process, run_dir
    finally:
        if group(process):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_workers_end_with_the_process_that_started_them(at_work):
    process, _ = at_work
    process.kill()
    process.wait()
    wait_until(lambda: not group(process), seconds=30)


def test_a_worker_that_is_killed_ends_the_run_with_one_sentence(at_work):
    process, run_dir = at_work
    os.kill(workers(process)[0], signal.SIGKILL)
    code, err = end(process)
    assert code == 1
    assert "a worker died before its work was done" in err
    assert "resume with resume=true" in err
    assert "Traceback" not in err
    assert read_status(run_dir)["state"] == "failed"
    wait_until(lambda: not group(process), seconds=30)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_all_processes_keeps_what_was_found(at_work, name):
    """As a terminal sends Ctrl-C, or a scheduler the end of the time."""
    process, run_dir = at_work
    os.killpg(process.pid, getattr(signal, name))
    code, err = end(process)
    assert code == 1
    told = [line for line in err.splitlines() if " INFO " not in line]  # once a minute, on a slow machine
    assert told == [f"interrupted; to resume, repeat the command with hydra.run.dir={run_dir} resume=true"]
    assert read_status(run_dir)["state"] == "interrupted"
    wait_until(lambda: not group(process), seconds=30)
    found = [(record.label, record.z_seed) for record in read_records(run_dir)]
    assert len(set(found)) == len(found) >= 8


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_killed_at_random_moments_ends_with_the_records_of_one_that_was_not(tmp_path):
    """Any moment: while it starts, loads, searches, writes; with one worker or two; all its processes or the first."""
    rng = random.Random(0)
    size = ["search.sources_per_class=20", "search.part_size=3", "search.concurrency=4"]
    size += ["search.max_queries_per_source=40"]
    started = time.monotonic()
    assert end(start(tmp_path / "whole", *size))[0] == 0
    seconds = time.monotonic() - started
    whole = list(read_records(tmp_path / "whole"))
    kills = runs = 0
    saved = []
    while kills < KILLS:
        run_dir, runs = tmp_path / f"run{runs}", runs + 1
        finished = False
        while not finished:
            process = start(run_dir, *size, f"search.workers={rng.choice([1, 2])}")
            if kills < KILLS:
                if rng.random() < 0.3:
                    moment = rng.uniform(0, seconds)
                else:
                    wait_for_part(process, run_dir)
                    moment = rng.uniform(0, seconds / 20)
                kills += kill_later(process, moment, everything=rng.random() < 0.7)
            code, err = end(process)
            finished = code == 0
            assert finished or code == -signal.SIGKILL, err
            saved.append(check_parts(run_dir))
        assert not (run_dir / "damaged").exists()
        assert json.loads((run_dir / "status.json").read_text())["state"] == "done"
        assert_same(sorted(read_records(run_dir), key=lambda record: (record.z_seed, record.label)), whole)
    assert any(0 < count < len(whole) for count in saved)
    print(f"{kills} kills of {runs} runs of {len(whole)} sources, saved at each end: {saved}")


def wait_for_part(process, run_dir):
    """Until a run has written something new, or is over."""
    before = len(part_paths(run_dir))
    wait_until(lambda: len(part_paths(run_dir)) > before or process.poll() is not None)


def kill_later(process, seconds, everything):
    """Kill a run after some seconds, all its processes or just the first => whether it was still there."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL) if everything else process.kill()
        process.wait()
        wait_until(lambda: not group(process), seconds=60)
        return process.returncode == -signal.SIGKILL
    return False


def check_parts(run_dir):
    """All parts are whole and no source is there twice => the number of sources."""
    found = [(record.label, record.z_seed) for path in part_paths(run_dir) for record in read_part(path)]
    assert len(set(found)) == len(found)
    return len(found)
