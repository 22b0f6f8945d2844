"""The folder of a run that is taken up: what must be the same, and what a refusal leaves."""

import pytest
from omegaconf import OmegaConf

from latreg.config import STAGES, STAGES_THAT_GO_ON, first_z_seed_of
from latreg.errors import LatregError, ResumeRefusedError
from latreg.merge import merge
from latreg.runs.folder import RunFolder, read_config
from latreg.runs.saved_config import load_run_config
from tests.helpers.settings import composed

MIRRORED = ("dataset.mirror=true", "classifier.training.flip=false")  # which else follows it


def config(*overrides):
    return composed("resume=true", *overrides)


def finished(path, cfg):
    """The folder of a run that has ended."""
    path.mkdir()
    folder = RunFolder(path)
    folder.begin(cfg)
    folder.write_json("metrics.json", {"seconds": 1.0})
    folder.done()
    return path


def make_older(path, *keys):
    """As if the run had been made before latreg had these keys."""
    older = OmegaConf.create(read_config(path))
    for key in keys:
        group, name = key.rsplit(".", 1)
        del OmegaConf.select(older, group)[name]
    (path / "config.yaml").write_text(OmegaConf.to_yaml(older))


def contents(path):
    return {file.name: file.read_text() for file in path.iterdir()}


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "search"])
def test_a_run_of_another_stage_is_not_taken_up(tmp_path, stage):
    run = finished(tmp_path / "run", config("stage=search"))
    before = contents(run)
    with pytest.raises(ResumeRefusedError, match=f"but stage was search and is now {stage}"):
        RunFolder(run).begin(config(f"stage={stage}", "classifier=judge_a"))
    assert contents(run) == before


def test_an_older_run_of_another_run_seed_goes_on_with_the_sources_that_it_had(tmp_path):
    run = finished(tmp_path / "run", config("run_seed=1", "search.z_seed_stride=0"))
    make_older(run, "search.z_seed_stride")
    assert first_z_seed_of(load_run_config(run)) == 0
    with pytest.raises(ResumeRefusedError, match=r"but search\.z_seed_stride was 0 and is now 33554432$"):
        RunFolder(run).begin(config("run_seed=1"))
    RunFolder(run).begin(config("run_seed=1", "search.z_seed_stride=0"))


def test_an_older_run_of_run_seed_0_goes_on_as_it_is(tmp_path):
    run = finished(tmp_path / "run", config())
    make_older(run, "search.z_seed_stride")
    RunFolder(run).begin(config())


def test_a_run_from_before_the_walk_had_none(tmp_path):
    run = finished(tmp_path / "run", config("search.severity_steps=0", "validity.stability=false"))
    make_older(run, "search.severity_steps", "validity.stability")
    cfg = load_run_config(run)
    assert (cfg.search.severity_steps, cfg.validity.stability) == (0, False)
    with pytest.raises(ResumeRefusedError, match=r"but search\.severity_steps was 0 and is now 6$"):
        RunFolder(run).begin(config())
    RunFolder(run).begin(config("search.severity_steps=0", "validity.stability=false"))


@pytest.mark.parametrize("stage", STAGES_THAT_GO_ON)
def test_a_key_that_is_newer_than_the_run_had_its_default(tmp_path, stage):
    run = finished(tmp_path / "run", config(f"stage={stage}"))
    make_older(run, "dataset.mirror", "generator.training.augment_p", "classifier.training.cutout", "validity.quantile")
    before = contents(run)
    with pytest.raises(ResumeRefusedError, match=r"dataset\.mirror was False and is now True"):
        RunFolder(run).begin(config(f"stage={stage}", *MIRRORED))
    assert contents(run) == before
    RunFolder(run).begin(config(f"stage={stage}"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], "expected 200 sources, but 200 are in none of the runs"),  # so the settings have passed
        (MIRRORED, "has other settings than .*: dataset.mirror is True, not False"),
    ],
)
def test_a_key_that_is_newer_than_a_shard_had_its_default(tmp_path, monkeypatch, changes, message):
    shards = [tmp_path / "1", tmp_path / "2"]
    finished(shards[0], config("search.shard=1/2"))
    finished(shards[1], config("search.shard=2/2", *changes))
    make_older(shards[0], "dataset.mirror")
    monkeypatch.setattr("latreg.merge.read_fitting", lambda *_: [])
    with pytest.raises(LatregError, match=message):
        merge(shards, tmp_path / "merged")


def test_a_refused_run_leaves_nothing_that_was_not_there(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    folder = RunFolder(tmp_path)
    folder.begin(config())
    folder.restore()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]
