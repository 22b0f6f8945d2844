"""Shards on the launchers of Hydra, joined again; each needs its extra: pip install latreg[joblib], [slurm], [ray]."""

import importlib.util
import os
import subprocess
import sys

import pytest

from latreg import merge
from latreg.runs.records import read_records
from tests.helpers.same_records import assert_same

SEARCH = ["+experiment=mnist_random", "search.sources_per_class=1", "search.classes=[2,3,8]", "device=cpu"]
SEARCH += ["search.max_queries_per_source=30", "classifier.probe_images=0", "tracking=disabled", "resume=true"]
LAUNCHERS = {"joblib": "joblib", "submitit_local": "submitit", "ray": "ray"}


def is_there(launcher):
    try:
        return importlib.util.find_spec(f"hydra_plugins.hydra_{LAUNCHERS[launcher]}_launcher") is not None
    except ModuleNotFoundError:  # there are no plugins at all
        return False


def run(*arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "latreg.run", *arguments, *SEARCH]  # -m goes first
    subprocess.run(command, env=environment, check=True, timeout=500)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_shards_of_a_launcher_are_joined_to_the_records_of_one_run(launcher, tmp_path):
    if not is_there(launcher):
        pytest.skip(f"hydra/launcher={launcher} is not installed")
    run(f"hydra.run.dir={tmp_path / 'whole'}")
    sweep = tmp_path / "shards"
    run("-m", f"hydra/launcher={launcher}", "search.shard=1/3,2/3,3/3", f"hydra.sweep.dir={sweep}")
    shards = sorted(str(folder) for folder in sweep.glob("[0-9]*"))
    assert len(shards) == 3
    assert merge.main([*shards, "-o", str(tmp_path / "merged")]) == 0
    assert_same(list(read_records(tmp_path / "merged")), list(read_records(tmp_path / "whole")))
