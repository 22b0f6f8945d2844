"""The study as a multirun."""

import itertools
import json
from functools import cache

import pytest
from hydra import compose, initialize_config_dir

from latreg.config import conf_dir, register
from latreg.report import __main__ as command

register()


@cache
def sweep(experiment):
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        params = compose("config", [f"+experiment={experiment}"], return_hydra_config=True).hydra.sweeper.params
    choices = [[f"{key}={value}" for value in values.split(",")] for key, values in params.items()]
    return list(itertools.product(*choices))


def test_the_study_has_every_cell_of_the_design_once():
    jobs = sweep("paper")
    assert len(jobs) == len(set(jobs)) == 3 * 3 * 15 * 2
    assert len(sweep("paper_smoke")) == 2 * 3 * 5 * 2


@pytest.mark.parametrize("truncation", sorted({job[2] for job in sweep("paper")}))
def test_every_truncation_is_what_its_name_says(truncation):
    name = truncation.removeprefix("truncation=")
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        found = compose("config", ["+experiment=paper", truncation, "truncation.center=global"]).truncation
    mode, _, psi = name.partition("_")
    expected = {"psi": "fixed", "none": "none"}.get(mode, "adaptive")
    assert (found.mode, found.center) == (expected, "global")
    assert found.psi == float(psi or 1)
    assert mode in (found.direction, "psi", "none")


def test_a_part_of_the_smoke_study_runs_and_is_reported(cli, tmp_path):
    code, _, err = cli(
        *("+experiment=paper_smoke", "dataset=mnist", "strategy=sampling,random", "truncation=none", "device=cpu"),
        *("search.classes=[2,8]", "search.sources_per_class=1", f"hydra.sweep.dir={tmp_path / 'runs'}"),
    )
    assert code == 0, err
    assert command.main([str(tmp_path / "runs"), "-o", str(tmp_path / "out")]) == 0
    study = json.loads((tmp_path / "out" / "results" / "study.json").read_text())["study"]
    assert (study["runs"], study["cells"], study["notes"]) == (4, 4, [])
    assert all("+experiment=paper_smoke" in line and "tmp" not in line for line in study["commands"])
