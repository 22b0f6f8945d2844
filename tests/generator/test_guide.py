"""Classifier guidance: what is added to G's loss, and that what guided a training may not judge it."""

import json

import pytest
import torch
from torch import nn

from latreg.classifier.networks import build
from latreg.generator.guide import Guide, load_guide
from latreg.generator.module import StyleGAN2Module
from tests.helpers.settings import config
from tests.helpers.small_generator import SMALL
from tests.helpers.toy_training import make_module, train

GUIDED = ("generator.training.guide=zoo:mnist_judge_a", "generator.training.guide_weight=0.5")


def make_guide(network=None, **settings):
    if network is None:
        torch.manual_seed(1)
        network = build("resnet", 1, 3, {"widths": (4, 4)})
    return Guide(network, "guide", "a" * 64, **{"weight": 1.0, "shift": 2, "mirror": True} | settings)


class Brightness(nn.Module):
    """Two classes, dark and bright, from the mean of an image; and what it was shown."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append(images.detach())
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack([-mean, mean], dim=1)


def shown_by(guide, images):
    guide(images, torch.zeros(len(images), dtype=torch.int64))
    return guide._network.seen[-1]


def test_the_loss_is_the_mean_cross_entropy_of_those_below_the_limit():
    images = torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1).expand(3, 1, 8, 8).clone().requires_grad_()
    labels = torch.tensor([1, 1, 1])
    p = torch.sigmoid(2 * torch.tensor([0.0, 0.5, 1.0]))
    loss, agreement = make_guide(Brightness())(images, labels)
    assert loss.item() == pytest.approx(-p.log().mean().item(), rel=1e-5)
    assert agreement.item() == pytest.approx(2 / 3)  # an undecided one is not
    loss, _ = make_guide(Brightness(), until=0.8)(images, labels)
    assert loss.item() == pytest.approx(-p[:2].log().sum().item() / 3, rel=1e-5)
    loss.backward()
    assert [bool(of.any()) for of in images.grad] == [True, True, False]


def test_images_are_clamped_but_their_gradients_are_not():
    images = torch.full((2, 1, 8, 8), -3.0, requires_grad=True)
    guide = make_guide(Brightness(), shift=0, mirror=False)
    guide(images, torch.tensor([1, 1]))[0].backward()
    assert torch.equal(guide._network.seen[0], torch.zeros(2, 1, 8, 8))
    assert (images.grad < 0).all()


def test_images_are_shifted_by_whole_pixels_and_mirrored():
    torch.manual_seed(0)
    images = torch.rand(64, 3, 8, 8) * 2 - 1
    shown = shown_by(make_guide(Brightness(), shift=2), images)
    padded = nn.functional.pad((images + 1) / 2, (2, 2, 2, 2), mode="reflect")
    kinds = set()
    for image, before in zip(shown, padded, strict=True):
        views = {(y, x): before[:, y : y + 8, x : x + 8] for y in range(5) for x in range(5)}
        views |= {(y, x, "mirrored"): view.flip(2) for (y, x), view in views.items()}
        [kind] = [kind for kind, view in views.items() if torch.allclose(image, view, atol=1e-6)]
        kinds.add(kind)
    assert {kind[0] for kind in kinds} == {kind[1] for kind in kinds} == set(range(5))
    assert {len(kind) for kind in kinds} == {2, 3}
    still = shown_by(make_guide(Brightness(), shift=0, mirror=False), images)
    torch.testing.assert_close(still, (images + 1) / 2)


def test_the_weight_goes_on_a_line_to_its_end():
    guide = make_guide(weight=1.0, weight_end=0.2, start=100, end=300)
    assert [guide.weight(n) for n in (0, 100, 200, 300, 400)] == pytest.approx([1.0, 1.0, 0.6, 0.2, 0.2])
    assert make_guide(weight=0.3).weight(10**6) == 0.3


def test_a_guide_moves_g_but_is_neither_trained_nor_saved(data, tmp_path):
    alone, guided = (make_module(12, guide=guide, bfloat16=True) for guide in (None, make_guide()))
    weights = [parameter.clone() for parameter in guided.guide._network.parameters()]
    train(alone, data)
    trainer = train(guided, data)
    assert {"train/guide_loss", "train/guide_agreement", "train/guide_weight"} <= set(trainer.logged_metrics)
    assert all(torch.equal(*pair) for pair in zip(weights, guided.guide._network.parameters(), strict=True))
    assert list(guided.state_dict()) == list(alone.state_dict())
    assert not torch.equal(guided.G.synthesis.b8.torgb.weight, alone.G.synthesis.b8.torgb.weight)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert "guide" not in StyleGAN2Module.load_from_checkpoint(tmp_path / "last.ckpt").hparams


def test_a_resumed_guided_training_is_bitwise_the_uninterrupted_one(data, tmp_path):
    schedule = {"weight_end": 0.1, "start": 8, "end": 48}
    whole = make_module(48, guide=make_guide(**schedule))
    train(whole, data)
    half = make_module(20, guide=make_guide(**schedule))
    train(half, data).save_checkpoint(tmp_path / "last.ckpt")
    resumed = make_module(48, guide=make_guide(**schedule))
    train(resumed, data, tmp_path / "last.ckpt", n_images=20)
    for (name, wanted), found in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(wanted, found), name


def test_a_guide_of_shipped_weights_sees_what_the_classifier_sees():
    from latreg.classifier.sut import load_sut

    cfg = config("+experiment=mnist_generator", *GUIDED, "generator.training.guide_shift=0")
    guide, sut = load_guide(cfg), load_sut("zoo:mnist_judge_a", cfg.dataset)
    assert (guide.name, guide.id) == ("mnist_judge_a", sut.id)
    images, labels = torch.rand(8, 1, 32, 32), torch.arange(8)
    loss, _ = guide(images * 2 - 1, labels)
    assert loss.item() == pytest.approx(-sut(images)[labels, labels].log().mean().item(), rel=1e-3)


def test_the_card_names_the_guides_and_they_judge_nothing(cli, toy_mnist, tmp_path):
    run = tmp_path / "run"
    training = ("+experiment=mnist_generator", *SMALL, "trainer=cpu", f"hydra.run.dir={run}")
    assert cli(*training, *GUIDED)[0] == 0
    # another guide, and none, in later parts of the same training
    more = ("resume=true", "generator.training.guide_weight=0.1", "generator.training.guide=zoo:mnist_judge_b")
    assert cli(*training, *more, "generator.training.total_images=64")[0] == 0
    assert cli(*training, "resume=true", "generator.training.total_images=96")[0] == 0
    card = json.loads((run / "mnist_stylegan2_small.json").read_text())
    assert [guide["name"] for guide in card["guides"]] == ["mnist_judge_a", "mnist_judge_b"]
    assert [part.get("guide") for part in card["earlier_recipes"]] == ["zoo:mnist_judge_a", "zoo:mnist_judge_b"]

    generator = f"generator.weights={run / 'mnist_stylegan2_small.safetensors'}"
    for command, message in (
        (
            ("+experiment=mnist_mixing", generator),
            "validity.judge must not contain a guide of the generator's training",
        ),
        (("+experiment=mnist_generator_card", generator), "validity.judge must not contain a guide of the generator"),
        (
            ("+experiment=mnist_mixing", generator, "classifier.weights=zoo:mnist_judge_b", "validity.judge=[]"),
            "the SUT must not be a guide of the generator's training, got mnist_judge_b",
        ),
        (
            (*training[:-1], *GUIDED, "validity.judge=[zoo:mnist_judge_a]"),
            "validity.judge must not contain a guide of the generator's training, got mnist_judge_a",
        ),
    ):
        code, _, err = cli(*command)
        assert code == 1
        assert message in err
