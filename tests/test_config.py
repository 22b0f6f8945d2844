"""Every file in conf/ composes, fits the schema and builds what it names."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import hydra
import pytest
from hydra import initialize_config_dir
from hydra.errors import ConfigCompositionException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from latreg.config import Config, conf_dir, register
from latreg.runs.saved_config import load_run_config

register()
GROUPS = sorted(p.name for p in Path(conf_dir()).iterdir() if p.is_dir() and p.name != "experiment")
OPTIONS = [(group, p.stem) for group in GROUPS for p in sorted((Path(conf_dir()) / group).glob("*.yaml"))]
EXPERIMENTS = sorted(p.stem for p in (Path(conf_dir()) / "experiment").glob("*.yaml"))


@cache
def compose(*overrides):
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        return hydra.compose("config", list(overrides))


def config(*overrides):
    composed = OmegaConf.to_object(compose(*overrides))
    assert isinstance(composed, Config)
    return composed


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_of_every_group_composes(group, option):
    composed = compose(f"{group}={option}")
    missing = OmegaConf.missing_keys(composed)  # which only the user knows, or the data
    assert all(key.startswith(f"{group}.") for key in missing)
    if not missing:
        assert isinstance(OmegaConf.to_object(composed), Config)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_is_named_like_its_file(experiment):
    assert config(f"+experiment={experiment}").name == experiment


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_says_its_command(experiment):
    text = (Path(conf_dir()) / "experiment" / f"{experiment}.yaml").read_text()
    assert f"python -m latreg.run +experiment={experiment}" in text


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "strategy"])
def test_every_strategy_instantiates(option):
    strategy = instantiate(config(f"strategy={option}").strategy, _convert_="all")
    assert strategy.name == option


@pytest.mark.parametrize("truncation", ["none", "fixed", "adaptive"])
def test_the_documented_sweep_composes(truncation):
    assert config("+experiment=mnist_random", f"truncation={truncation}").truncation.mode == truncation


@pytest.mark.parametrize("override", ["search.sourcs=3", "truncation.ps1=0.5", "strategy.partner=3"])
def test_a_misspelt_key_is_an_error(override):
    with pytest.raises(ConfigCompositionException, match="Could not override"):
        config("strategy=mixing", override)


def test_run_seed_0_is_a_value_and_reaches_the_strategy():
    assert config("strategy=mixing", "run_seed=0").strategy.run_seed == 0
    assert config("strategy=mixing", "run_seed=7").strategy.run_seed == 7


@pytest.mark.parametrize(
    ("overrides", "generator", "classifier"),
    [
        (["dataset=cifar10"], "stylegan2_medium", "airbench"),
        (["dataset=cifar10", "generator=stylegan2_medium", "classifier=cnn"], "stylegan2_medium", "cnn"),
        (["+experiment=cifar10_generator_guided"], "stylegan2_medium", "airbench"),
        (["+experiment=cifar10_judge_b"], "stylegan2_medium", "judge_whitened"),
        (["+experiment=cifar10_generator_card"], "stylegan2_medium", "cnn"),
        (["dataset=mnist"], "stylegan2_small", "cnn"),
    ],
)
def test_a_data_set_chooses_its_networks_and_experiment_and_command_come_first(overrides, generator, classifier):
    composed = config(*overrides)
    assert (composed.generator.name, composed.classifier.name) == (generator, classifier)


def test_the_configuration_of_a_run_is_read_back_typed(tmp_path):
    composed = compose("+experiment=mnist_mixing")
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(composed, resolve=True))
    assert load_run_config(tmp_path) == config("+experiment=mnist_mixing")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected the folder of a run with a config\.yaml"):
        load_run_config(tmp_path)


@pytest.mark.parametrize("arguments", ["--help", "--cfg job"])
def test_help_and_composition_do_not_wait_for_torch(arguments):
    code = f"""
import sys
sys.argv = ["run", *{arguments.split()!r}]
from latreg.run import main
try:
    main()
except SystemExit:
    pass
assert not {{"torch", "lightning", "wandb"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
