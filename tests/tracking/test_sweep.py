"""The sweep that docs/dashboard.md shows, whose command an agent of W&B fills in."""

import itertools
from pathlib import Path

import yaml

from latreg.composing import composed
from latreg.jobs.scoring import JUDGED
from latreg.measures.metrics import summarize

SWEEP = yaml.safe_load((Path(__file__).parents[2] / "docs" / "sweep.yaml").read_text())


def test_each_job_of_the_sweep_composes(monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    fixed = [word for word in SWEEP["command"] if "=" in word]
    axes = [axis["values"] for axis in SWEEP["parameters"].values()]
    first_two = list(itertools.product(*axes[:2]))  # and the values of the others in turn
    for values in zip(*zip(*first_two, strict=True), *map(itertools.cycle, axes[2:]), strict=False):
        given = [f"{key}={value}" for key, value in zip(SWEEP["parameters"], values, strict=True)]
        job = composed([*fixed, *given], hydra=True)
        assert job.hydra.run.dir == "multirun/sweep/abc"
        assert (job.tracking.mode, job.strategy.name) == ("online", values[0])


def test_the_goal_of_the_sweep_is_logged():
    assert SWEEP["metric"]["name"] in {*summarize([], (), seconds=1.0), *JUDGED}
