"""Samples, and their distances to real images."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from latreg.data.images import ImageSet, to_unit
from latreg.evaluation.scores import Distances, JudgeFeatures, agreement, draw
from latreg.generator.networks import GeneratorNetwork
from latreg.generator.pretrained import StyleGAN2
from latreg.interfaces import Proposal, Source
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer

CLASSES = 4
RECORDED = ("precision", "recall", "density", "coverage")


@pytest.fixture
def generator():
    torch.manual_seed(0)
    network = GeneratorNetwork(4, 4, CLASSES, 8, 1, channel_base=16, channel_max=4, mapping_layers=1)
    network.mapping.w_avg_class.normal_()
    return StyleGAN2(network, id="")


class Pixels(nn.Module):
    """A network whose features are the first pixels."""

    def features(self, images):
        return images.flatten(1)[:, :5]


@pytest.fixture
def features():
    return JudgeFeatures(Pixels())


def noise(n, seed):
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, 1, 8, 8), generator=rng, dtype=torch.uint8)
    return ImageSet(images, torch.arange(n) % CLASSES)


def data(train, test):
    splits = {"train": noise(train, 0), "test": noise(test, 1)}
    return SimpleNamespace(split=splits.__getitem__)


def test_samples_take_the_classes_in_turn(generator):
    samples = draw(generator, 10, 1.0, "class")
    assert samples.images.shape == (10, 1, 8, 8)
    assert samples.images.dtype == torch.uint8
    assert samples.labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_a_sample_is_what_a_search_would_render(generator):
    image = Renderer(generator, "class", cutoff=None, chunk=1).render([Request(Source(2, 1_000_002), Proposal(0.7))])
    assert torch.equal(draw(generator, 3, 0.7, "class").images[2:], image)


def test_the_center_matters_below_psi_1_alone(generator):
    at = {(psi, center): draw(generator, 8, psi, center).images for psi in (1.0, 0.7) for center in ("class", "global")}
    assert torch.equal(at[1.0, "class"], at[1.0, "global"])
    assert not torch.equal(at[0.7, "class"], at[0.7, "global"])


def test_agreement_counts_the_labels_that_the_judge_keeps():
    judge = SimpleNamespace(kept=lambda images, labels: labels != 3)
    assert agreement(judge, noise(1001, 0)) == 751


def test_features_of_many_images_are_those_of_each(features):
    images = noise(501, 0).images
    assert torch.equal(features.of(images), to_unit(images).flatten(1)[:, :5])


def test_the_test_images_themselves_overlap_wholly_and_are_at_no_distance(features):
    real = data(train=60, test=60)
    distances = Distances(features, real, samples=60)
    scores = distances.overlap(real.split("test"), "of_test")
    assert scores == {f"judge_{name}_of_test": pytest.approx(4 / 3 if name == "density" else 1.0) for name in RECORDED}
    assert distances.frechet(real.split("test").images) == pytest.approx(0, abs=1e-3)


def test_training_images_give_the_same_scores_as_samples(features):
    real = data(train=60, test=60)
    distances = Distances(features, real, samples=60)
    scores = distances.of_train()
    assert set(scores) == {"judge_frechet_distance_of_train", *(f"judge_{name}_of_train" for name in RECORDED)}
    assert scores["judge_recall_of_train"] == distances.overlap(real.split("train"), "x")["judge_recall_x"]


@pytest.mark.parametrize(("train", "test", "samples", "compared"), [(60, 60, 40, 40), (60, 30, 40, 30), (9, 30, 40, 9)])
def test_as_many_real_images_as_samples_are_compared(features, train, test, samples, compared):
    distances = Distances(features, data(train, test), samples)
    assert distances.sizes == {"overlap_images": compared, "overlap_nearest": 3}
    distances.overlap(noise(samples, 2), "x")
    distances.of_train()
