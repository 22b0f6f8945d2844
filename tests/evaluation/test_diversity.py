from itertools import combinations

import numpy as np
import pytest
import torch

from latreg.classifier.networks import build
from latreg.evaluation.diversity import Cells, Diversity, FaultSpace, distances, mean_distance


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
    mean, (low, high) = mean_distance(distances(vectors))
    assert mean == pytest.approx(expected)
    assert low < mean < high
    assert mean_distance(distances(vectors)) == (mean, [low, high])
    assert mean_distance(distances(vectors[:1])) == (None, None)
    assert mean_distance(distances(vectors[:2])) == (pytest.approx(((vectors[0] - vectors[1]) ** 2).sum()), None)
    assert mean_distance(distances(np.ones((4, 3))))[0] == 0


def test_images_all_alike_reach_one_cell_and_form_one_group(space):
    image = pictures(1)[0]
    alike = space.measure([image] * 30)
    assert alike.judge_distance == pytest.approx(0, abs=1e-12)
    assert (alike.faults_compared, alike.cells_reached, alike.cells, alike.groups) == (30, 1, 5, 1)
    other = space.measure(pictures(30))
    assert other.judge_distance > 0
    assert other.cells_reached > 1
    assert 1 < other.groups <= 30


def test_nothing_found(space):
    assert space.measure([]) == Diversity(0, None, None, 0, 5, 0)
    one = space.measure(pictures(1))
    assert (one.judge_distance, one.cells_reached, one.groups) == (None, 1, 1)


def test_cells_are_found_once_and_again_where_their_file_is_damaged(space, tmp_path, monkeypatch):
    def measured():
        return FaultSpace(space._network, space._real, cells=5, kept=tmp_path).measure(pictures(20))

    first = measured()
    assert first == space.measure(pictures(20))
    with monkeypatch.context() as patch:
        patch.setattr(Cells, "of", None)
        assert measured() == first
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    assert measured() == first
    assert len(Cells.kept(path, lambda: None).centers) == 5


def test_without_real_images_there_are_no_cells(space):
    bare = FaultSpace(space._network, None)
    found, nothing = bare.measure(pictures(5)), bare.measure([])
    assert found.judge_distance == space.measure(pictures(5)).judge_distance
    for measured in (found, nothing):
        assert (measured.cells_reached, measured.cells, measured.groups) == (None, None, None)


def test_cells_are_those_of_the_images_that_made_them():
    places = np.repeat([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], 20, axis=0)
    features = places + np.random.default_rng(0).normal(size=places.shape) * 0.1
    cells = Cells.of(features, 3)
    assert sorted(cells.centers.round().tolist()) == [[0, 0], [0, 10], [10, 0]]
    assert 0.1 < cells.apart < 0.3


def test_lpips_stands_beside_what_the_judge_sees(space):
    with_lpips = FaultSpace(space._network, None, lpips=lambda images: images.mean((1, 2, 3))[:, None])
    images = pictures(6)
    brightness = np.array([image.mean() / 255 for image in images])
    expected = np.mean([(a - b) ** 2 for a, b in combinations(brightness, 2)])
    found = with_lpips.measure(images)
    assert found.lpips == pytest.approx(expected, rel=1e-4)
    assert found.lpips_ci95[0] < expected < found.lpips_ci95[1]
    assert found.judge_distance == space.measure(images).judge_distance
    two = with_lpips.measure(images[:2])
    assert (two.lpips, two.lpips_ci95) == (pytest.approx((brightness[0] - brightness[1]) ** 2, rel=1e-4), None)
    assert with_lpips.measure([]).lpips is None
    assert space.measure(images).lpips is None
