from itertools import combinations

import numpy as np
import pytest
import torch

from latreg.classifier.networks import build
from latreg.diversity import FaultSpace, group, mean_distance, medoids


@pytest.fixture(scope="module")
def space():
    torch.manual_seed(0)
    network = build("resnet", 1, 3, {"widths": [4, 8]})
    real = torch.randint(0, 256, (60, 1, 16, 16), dtype=torch.uint8)
    return FaultSpace(network, real, cells=5)


def pictures(n):
    rng = np.random.default_rng(1)
    return list(rng.integers(0, 256, (n, 1, 16, 16), dtype=np.uint8))


def test_distance_is_the_formula_of_lpips_with_weights_of_1(space):
    a, b = (torch.from_numpy(image)[None] for image in pictures(2))
    expected = 0.0
    feature_maps = torch.no_grad()(space._network.feature_maps)
    for x, y in zip(*(feature_maps(image / 255) for image in (a, b)), strict=True):
        difference = torch.nn.functional.normalize(x) - torch.nn.functional.normalize(y)
        expected += float(difference.square().sum(dim=1).mean())
    assert space.measure([a[0].numpy(), b[0].numpy()]).judge_distance == pytest.approx(expected, rel=1e-4)


def test_mean_distance_is_over_pairs_of_different_vectors():
    vectors = np.random.default_rng(0).normal(size=(7, 3))
    expected = np.mean([((a - b) ** 2).sum() for a, b in combinations(vectors, 2)])
    mean, (low, high) = mean_distance(vectors)
    assert mean == pytest.approx(expected)
    assert low < mean < high
    assert mean_distance(vectors) == (mean, (low, high))
    assert mean_distance(vectors[:1]) == (None, None)
    assert mean_distance(np.ones((4, 3)))[0] == 0


def test_images_all_alike_reach_one_cell_and_form_one_group(space):
    image = pictures(1)[0]
    alike = space.measure([image] * 30)
    assert alike.judge_distance == pytest.approx(0, abs=1e-12)
    assert (alike.n, alike.cells_reached, alike.cells, alike.groups) == (30, 1, 5, 1)
    other = space.measure(pictures(30))
    assert other.judge_distance > 0
    assert other.cells_reached > 1
    assert 1 < other.groups <= 20


def test_nothing_found(space):
    assert space.measure([]).judge_distance is None
    one = space.measure(pictures(1))
    assert (one.judge_distance, one.cells_reached, one.groups) == (None, 1, 1)


def test_groups_and_what_to_read_of_them():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=(n, 2)) * 0.01 + 10 * place for place, n in ((0, 3), (1, 9), (2, 5))])
    labels = group(features, groups=3)
    assert [len(set(labels[part])) for part in (slice(0, 3), slice(3, 12), slice(12, 17))] == [1, 1, 1]
    chosen = medoids(features, labels)
    assert [3 <= chosen[0] < 12, 12 <= chosen[1] < 17, chosen[2] < 3] == [True] * 3
    assert len(set(group(features, groups=100))) <= 17
