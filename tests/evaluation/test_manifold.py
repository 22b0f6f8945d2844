"""Precision, recall, density and coverage, against their definitions and where the answer is known."""

from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latreg.errors import LatregError
from latreg.evaluation.manifold import overlap, radii

EVERYTHING = {"precision": 1.0, "recall": 1.0, "coverage": 1.0}
NOTHING = {"precision": 0.0, "recall": 0.0, "density": 0.0, "coverage": 0.0}


def naive(real, generated, k):
    """The definitions of the two papers, one point at a time."""

    def distance(a, b):
        return np.sqrt(((a - b) ** 2).sum())

    def radius(points, i):
        return sorted(distance(points[i], other) for j, other in enumerate(points) if j != i)[k - 1]

    def inside(point, points, radii):
        return [distance(point, center) <= r for center, r in zip(points, radii, strict=True)]

    real_radii = [radius(real, i) for i in range(len(real))]
    generated_radii = [radius(generated, i) for i in range(len(generated))]
    in_real_balls = np.array([inside(y, real, real_radii) for y in generated])  # (M, N)
    in_generated_balls = np.array([inside(x, generated, generated_radii) for x in real])  # (N, M)
    return {
        "precision": in_real_balls.any(axis=1).mean(),
        "recall": in_generated_balls.any(axis=1).mean(),
        "density": in_real_balls.sum() / (k * len(generated)),
        "coverage": in_real_balls.any(axis=0).mean(),
    }


def normal(n, dimensions, seed):
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m"), [(40, 40), (30, 55)])
@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_agrees_with_the_definitions(n, m, k, shift):
    real, generated = normal(n, 4, 0), 0.8 * normal(m, 4, 1) + shift
    expected = naive(real.double().numpy(), generated.double().numpy(), k)
    assert overlap(real, generated, k) == pytest.approx(expected)


points_on_a_grid = st.lists(st.tuples(*[st.integers(0, 3)] * 2), min_size=4, max_size=12)


@given(points_on_a_grid, points_on_a_grid, st.integers(1, 3))
@settings(deadline=None)
def test_agrees_where_points_coincide_and_distances_tie(real, generated, k):
    expected = naive(np.array(real), np.array(generated), k)
    real, generated = (torch.tensor(points, dtype=torch.float32) for points in (real, generated))
    assert overlap(real, generated, k) == pytest.approx(expected)


def test_chunks_change_nothing():
    real, generated = normal(50, 8, 0), normal(45, 8, 1)
    whole = overlap(real, generated)
    assert all(overlap(real, generated, chunk=chunk) == whole for chunk in (1, 7, 50))


def test_recall_is_precision_with_the_sets_exchanged():
    a, b = normal(60, 3, 0), normal(60, 3, 1) * 2
    assert overlap(a, b)["recall"] == overlap(b, a)["precision"]


def test_radii_reach_to_the_kth_of_the_others():
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert radii(points, k=1).tolist() == [1.0, 1.0, 2.0, 4.0]
    assert radii(points, k=3).tolist() == [7.0, 6.0, 4.0, 7.0]


def test_identical_sets_overlap_wholly():
    """Each point lies in its own ball and in as many others as there are neighbours, on average."""
    points = normal(80, 6, 0)
    assert overlap(points, points.clone()) == pytest.approx(EVERYTHING | {"density": 4 / 3})


def test_a_neighbour_is_never_outside_the_ball_it_defines():
    """Far from the origin products of coordinates would drown the distances."""
    points = normal(80, 128, 0) * 1e-2 + 1e3
    assert overlap(points, points.flip(0)) == pytest.approx(EVERYTHING | {"density": 4 / 3})


def test_disjoint_sets_do_not_overlap():
    assert overlap(normal(50, 4, 0), normal(50, 4, 1) + 100) == NOTHING


def test_a_lost_mode_costs_recall_and_coverage_alone():
    mode, other = normal(40, 4, 0), normal(40, 4, 1) + 100
    scores = overlap(torch.cat([mode, other]), mode)
    assert scores == pytest.approx({"precision": 1.0, "recall": 0.5, "density": 4 / 3, "coverage": 0.5})


def test_collapse_to_one_image_is_precise_but_without_recall():
    real = normal(50, 4, 0)
    scores = overlap(real, real[:1].expand(50, -1).contiguous())
    assert scores["precision"] == 1.0
    assert scores["recall"] == 1 / 50  # the image itself
    assert scores["coverage"] < 0.5


def test_one_outlier_deceives_precision_but_not_density_and_coverage():
    real = torch.cat([normal(49, 2, 0), torch.tensor([[100.0, 0.0]])])
    generated = normal(50, 2, 1) * 0.01 + torch.tensor([50.0, 0.0])  # in nothing but the outlier's ball
    assert overlap(real, generated) == pytest.approx(
        {"precision": 1.0, "recall": 0.0, "density": 1 / 3, "coverage": 1 / 50}
    )


def test_two_sets_of_one_distribution_reach_the_published_expectations():
    """Lemmas 1 and 2 of arXiv 2002.09797, within three standard errors over ten pairs of sets."""
    n, k = 400, 3
    scores = [overlap(normal(n, 16, 2 * seed), normal(n, 16, 2 * seed + 1), k) for seed in range(10)]
    coverage = 1 - prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    for name, expected in (("density", 1.0), ("coverage", coverage)):
        values = np.array([score[name] for score in scores])
        assert abs(values.mean() - expected) < 3 * values.std(ddof=1) / len(values) ** 0.5


@pytest.mark.parametrize(
    ("real", "generated", "k", "message"),
    [
        (torch.zeros(9, 2), torch.zeros(9, 3), 3, r"must have the shapes \(N, D\) and \(M, D\), got \(9, 2\) and"),
        (torch.zeros(9), torch.zeros(9), 3, r"got \(9,\) and \(9,\)"),
        (torch.zeros(9, 2), torch.zeros(3, 2), 3, "got k = 3 for 9 real and 3 generated ones"),
        (torch.zeros(9, 2), torch.zeros(9, 2), 0, "k must be at least 1"),
        (torch.zeros(9, 2), torch.full((9, 2), torch.nan), 3, "features must be finite"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(real, generated, k, message):
    with pytest.raises(LatregError, match=message):
        overlap(real, generated, k)
