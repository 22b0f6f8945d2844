"""What a job says of the networks that it loads is what their weights files describe."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from latreg.config import conf_dir, purpose_in
from latreg.errors import LatregError
from latreg.jobs.networks import describe_networks
from latreg.runs.folder import differences
from latreg.zoo.weights import ZOO
from tests.helpers.settings import composed

AIRBENCH = {"widths": [64, 256, 256]}


def described(*overrides):
    cfg = composed(*overrides)
    describe_networks(cfg)
    return cfg


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "cifar10"])
def test_a_data_set_alone_names_networks_that_are_what_it_says(dataset, caplog):
    caplog.set_level("INFO")
    cfg = described(f"dataset={dataset}")
    assert cfg.classifier.name == f"{dataset}_sut"
    assert cfg.generator.name == f"{dataset}_stylegan2_{'medium' if dataset == 'cifar10' else 'small'}"
    assert cfg.classifier.training.epochs == cfg.generator.training.total_images == 0  # no recipe is claimed
    assert not caplog.records


@pytest.mark.parametrize("choice", [["classifier=cnn"], ["classifier=judge_c", "classifier.weights=zoo:cifar10_sut"]])
def test_weights_of_another_network_than_the_recipe_are_told_in_one_sentence(choice, caplog):
    caplog.set_level("INFO")
    cfg = described("dataset=cifar10", *choice)
    assert (cfg.classifier.network, cfg.classifier.network_args) == ("airbench", AIRBENCH)
    (message,) = caplog.messages
    assert "is a recipe for training; the weights zoo:cifar10_sut hold another network" in message


def test_a_generator_is_what_its_file_describes():
    cfg = described("generator=stylegan2_wide", "generator.weights=zoo:mnist_stylegan2_small")
    assert (cfg.generator.name, cfg.generator.channel_base) == ("mnist_stylegan2_small", 1024)


def test_a_file_gives_its_own_name():
    path = ZOO / "cifar10_sut.safetensors"
    assert described("dataset=cifar10", f"classifier.weights={path}").classifier.name == "cifar10_sut"


def test_a_training_keeps_its_recipe():
    for stage in ("train_classifier", "train_generator"):
        cfg = described(f"stage={stage}", "dataset=cifar10", "classifier=cnn", "generator=stylegan2_wide")
        assert cfg == composed(f"stage={stage}", "dataset=cifar10", "classifier=cnn", "generator=stylegan2_wide")


def test_what_learns_from_samples_is_a_recipe_and_the_generator_is_not():
    cfg = described(
        "stage=evaluate_generator", "generator=stylegan2_wide", "generator.weights=zoo:mnist_stylegan2_small"
    )
    assert (cfg.classifier.name, cfg.classifier.training.epochs) == ("cnn", 8)
    assert cfg.generator.channel_base == 1024


def test_networks_made_elsewhere_keep_their_settings():
    overrides = ("classifier=onnx", "classifier.weights=net.onnx", "generator=own", "generator._target_=my.Generator")
    assert described(*overrides) == composed(*overrides)


def test_missing_and_foreign_weights(tmp_path):
    with pytest.raises(LatregError, match=r"generator\.weights must name an existing file, got zoo:cifar10_other"):
        described("dataset=cifar10", "generator.weights=zoo:cifar10_other")
    with pytest.raises(LatregError, match=r"classifier\.weights must name a weights file or zoo:<name>, got null"):
        described("classifier.weights=null")
    vae = described("classifier.weights=zoo:mnist_vae")  # refused where it is loaded
    assert vae.classifier.name == "cnn"


def test_runs_that_name_other_recipes_have_the_same_settings():
    """As those from before a search said what the weights describe."""
    old, new = (OmegaConf.to_container(c, resolve=True) for c in (composed("classifier=judge_b"), described()))
    old["classifier"]["weights"] = new["classifier"]["weights"]

    def that_matter():
        keys = [key for key, _, _ in differences(old, new)]
        return [key for key in keys if not key.startswith("dataset.") and not purpose_in(key, new).free_in_shards]

    assert that_matter() == []
    old["classifier"]["weights"] = "zoo:mnist_judge_c"
    assert that_matter() == ["classifier.weights"]


def test_the_default_generator_of_a_data_set_is_one_line():
    text = (Path(conf_dir()) / "dataset" / "cifar10.yaml").read_text()
    assert "\n  - override /generator@_global_.generator: stylegan2_medium" in text
