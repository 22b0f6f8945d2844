"""The model card that evaluate_generator writes, and the ones that are shipped."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from latreg.config import Config
from latreg.data.images import ImageSet
from latreg.errors import LatregError
from latreg.evaluation import card as card_module
from latreg.evaluation.card import names_of_judge, shared_errors
from latreg.validity.judge import Judge
from latreg.zoo import weights

SUFFIXES = ("psi_1_class", "psi_0.7_class", "psi_0.7_global")
SHIPPED = sorted(p.stem for p in weights.ZOO.glob("*.json") if json.loads(p.read_text()).get("kind") == "generator")
TINY = (
    "dataset.validation_size=10",
    "evaluation.training_samples=40",
    "classifier.training.epochs=1",
    "classifier.training.batch_size=10",
    *("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"),  # the card needs one of them
)


@pytest.fixture
def measured(cli, toy_mnist):
    """Command, run folder and card of the shipped generator, measured against a few images of noise."""
    command = ("+experiment=mnist_generator_card", "evaluation.samples=30", *TINY)
    code, out, err = cli(*command)
    assert code == 0, err
    folder = Path(out.strip().splitlines()[-1])
    return " ".join(command), folder, json.loads((folder / "mnist_stylegan2_small.json").read_text())


def test_a_card_keeps_what_was_known_and_gets_scores_grids_and_its_command(measured):
    command, folder, card = measured
    before = weights.read_card(weights.ZOO / "mnist_stylegan2_small.safetensors")
    changed = {"scores", "measured_by"}
    assert {k: v for k, v in card.items() if k not in changed} == {k: v for k, v in before.items() if k not in changed}
    assert card["measured_by"] == f"python -m latreg.run {command} tracking=disabled"
    assert_complete(card)
    assert card["scores"]["samples"] == 30
    assert card["scores"]["overlap_images"] == 20  # there are no more test images
    assert card["scores"]["training_samples"] == 40
    assert card["scores"]["sut_sha256"] == weights.sha256(weights.ZOO / "mnist_sut.safetensors")
    shared = [card["scores"][f"sut_errors{suffix}"] for suffix in ("_of_judge_alike", "_of_judge_too", "")]
    assert shared == sorted(shared)
    for suffix in SUFFIXES:
        with Image.open(folder / f"samples_{suffix}.png") as grid:
            assert grid.size == (10 * 32 * 2, 10 * 32 * 2)


class Says:
    """Has one answer for images of level 0, one for those of level 1, ..."""

    num_classes = 3

    def __init__(self, id, *answers):
        self.id = id
        self.answers = torch.tensor(answers)

    def __call__(self, images):
        return F.one_hot(self.answers[(images[:, 0, 0, 0] * 255).round().long()], 3).float()


TEST = ImageSet(torch.arange(5, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 32, 32), torch.arange(5) % 3)


def test_errors_that_sut_and_judge_share_are_counted(monkeypatch):
    monkeypatch.setattr(card_module, "load_sut", lambda *_: Says("sut", 0, 2, 1, 1, 0))
    assert shared_errors(Config(device="cpu"), Judge([Says("judge", 1, 2, 2, 2, 0)]), TEST) == {
        "sut_sha256": "sut",
        "sut_errors": 4,
        "sut_errors_of_judge_too": 3,
        "sut_errors_of_judge_alike": 2,
    }


def test_without_a_sut_no_shared_errors_are_counted(monkeypatch, caplog):
    def missing(*_):
        raise LatregError("no such file")

    monkeypatch.setattr(card_module, "load_sut", missing)
    assert shared_errors(Config(device="cpu"), Judge([Says("judge", 0, 1, 2, 0, 1)]), TEST) == {}
    assert "the errors that SUT and judge share are not counted: no such file" in caplog.text


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("evaluation.samples=3", "evaluation.samples must be above 3, got 3"),
        (
            "evaluation.training_samples=7",
            "must be at least classifier.training.batch_size = 10, got 7",
        ),
    ],
)
def test_too_few_samples_are_refused_before_anything_is_measured(cli, toy_mnist, setting, told):
    code, _, err = cli("+experiment=mnist_generator_card", *TINY, setting)
    assert code == 1
    assert told in err
    assert "measured" not in err


def test_a_classifier_that_is_not_trained_here_is_refused_before_anything_is_measured(cli, toy_mnist):
    code, _, err = cli("+experiment=mnist_generator_card", *TINY, "classifier=callable", "classifier.function=a.b")
    assert code == 1
    assert "stage=evaluate_generator trains a network of latreg on samples, got classifier=callable" in err


def test_judges_keep_the_dots_of_their_names():
    cfg = Config()
    cfg.validity.judge = ["zoo:photos.v2_judge_a", "runs/photos.v2_judge_b.safetensors"]
    names = names_of_judge(cfg, Judge([Says("judge", 0)]))["judge"]
    assert names == ["photos.v2_judge_a", "photos.v2_judge_b"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_generator_was_measured_as_shipped_by_the_command_it_names(name):
    card = weights.read_card(weights.ZOO / f"{name}.safetensors")
    assert_complete(card)
    assert card["sha256"] == card["scores"]["generator_sha256"] == weights.sha256(weights.ZOO / f"{name}.safetensors")
    assert card["measured_by"].startswith(f"python -m latreg.run +experiment={card['dataset']}_generator_card")
    assert card["scores"]["samples"] == card["scores"]["overlap_images"] == 5000
    assert card["scores"]["training_samples"] == 30_000


def assert_complete(card):
    """Every score is there with the numbers behind it, and says whose features it was measured in."""
    scores = card["scores"]
    assert scores["features"] == f"what the last layer of {scores['judge'][0]} sees"
    assert scores["features_sha256"] == weights.sha256(weights.ZOO / f"{scores['judge'][0]}.safetensors")
    assert len(scores["judge"]) == 3
    assert scores["overlap_nearest"] == 3
    for suffix in SUFFIXES:
        low, high = scores[f"judge_agreement_{suffix}_ci95"]
        assert 0 <= low <= scores[f"judge_agreement_{suffix}"] <= high <= 1
    for suffix in (*SUFFIXES, "of_train"):
        for name in ("precision", "recall", "coverage"):
            assert 0 <= scores[f"judge_{name}_{suffix}"] <= 1
        assert scores[f"judge_density_{suffix}"] >= 0
    assert scores["judge_frechet_distance"] > 0
    assert scores["judge_frechet_distance_of_train"] > 0
    low, high = scores["accuracy_trained_on_samples_ci95"]
    assert 0 <= low <= scores["accuracy_trained_on_samples"] <= high <= 1
