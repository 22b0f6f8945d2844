"""Shards on the launchers of Hydra, joined again; each needs its extra: pip install latreg[joblib], [slurm], [ray]."""

import importlib.util
import os
import subprocess
import sys

import pytest

from latreg import merge
from latreg.runs.records import read_records
from tests.helpers.same_records import assert_same

SEARCH = ["+experiment=mnist_random", "search.sources_per_class=1", "search.classes=[2,3]", "device=cpu"]
SEARCH += ["search.max_queries_per_source=30", "classifier.probe_images=0", "tracking=disabled", "resume=true"]
LAUNCHERS = {
    "joblib": ("joblib", "hydra.launcher.n_jobs=2"),
    "submitit_local": ("submitit", "hydra.launcher.cpus_per_task=1"),
    "ray": ("ray",),
}


def is_there(launcher):
    try:
        return importlib.util.find_spec(f"hydra_plugins.hydra_{LAUNCHERS[launcher][0]}_launcher") is not None
    except ModuleNotFoundError:  # there are no plugins at all
        return False


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_shards_of_a_launcher_are_joined_to_the_records_of_one_run(launcher, tmp_path, cli):
    if not is_there(launcher):
        pytest.skip(f"hydra/launcher={launcher} is not installed")
    code, _, err = cli(f"hydra.run.dir={tmp_path / 'whole'}", *SEARCH)
    assert code == 0, err
    sweep = tmp_path / "shards"
    command = [sys.executable, "-m", "latreg.run", "-m", f"hydra/launcher={launcher}", *LAUNCHERS[launcher][1:]]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    shards = ["search.shard=1/2,2/2", f"hydra.sweep.dir={sweep}"]
    subprocess.run([*command, *SEARCH, *shards], env=environment, check=True, timeout=500)
    shards = sorted(str(folder) for folder in sweep.glob("[0-9]*"))
    assert len(shards) == 2
    assert merge.main([*shards, "-o", str(tmp_path / "merged")]) == 0
    assert_same(list(read_records(tmp_path / "merged")), list(read_records(tmp_path / "whole")))
