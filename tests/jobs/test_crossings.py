"""Distances to the boundary on the linear toy, where w is known, and coverage by a density of random weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from latreg.classifier.networks import build
from latreg.evaluation.coverage import EQUAL_N, FeatureCells
from latreg.jobs.crossings import in_pixels, in_w
from latreg.jobs.unjudged import NAMES, Unjudged
from latreg.search.gradient import Gradient
from latreg.search.mixing import Mixing
from latreg.search.outcome import to_record
from latreg.validity.density import ClassDensity, DensityNetwork
from tests.helpers.example_records import image, pair, record, severe
from tests.helpers.toy_search import CONTEXT, SOURCES, make_engine

GRADIENT = Gradient(0.25, 4.0, 40, 10, "itp")
MIXING = Mixing(((6, 7),), 3, 2, False, 10, "flipped", run_seed=0)


def searched(strategy):
    engine = make_engine(strategy)
    return engine, [to_record(search, CONTEXT) for search in engine.run(SOURCES)]


def test_a_displacement_of_all_layers_is_as_long_as_it_was():
    engine, found = searched(GRADIENT)
    lengths = [None if r.latent_first is None else np.linalg.norm(r.latent_first) for r in found]
    assert sum(length is not None for length in lengths) > 10
    assert in_w(found, engine.renderer) == pytest.approx(lengths)


def test_a_mixture_of_two_layers_of_eight_counts_a_quarter_of_its_square():
    engine, found = searched(MIXING)
    flipped = [r for r in found if r.flipped]
    assert flipped
    for r, distance in zip(flipped, in_w(flipped, engine.renderer), strict=True):
        z = [np.random.RandomState(seed).randn(6) / 4 for seed in (r.z_seed, r.partner_z_seed)]
        means = engine.renderer.generator.w_avg_class.numpy()
        apart = np.linalg.norm(z[1] + means[r.rival] - z[0] - means[r.label])
        assert distance == pytest.approx(r.alpha_first * apart / 2, rel=1e-5)


def test_pixels_are_levels_in_0_1_and_a_misclassified_source_crosses_nothing():
    found = pair(source_image=np.full((1, 2, 2), 255, np.uint8), first_image=np.zeros((1, 2, 2), np.uint8))
    assert in_pixels(found) == 2
    assert in_pixels(record()) is in_pixels(replace(found, last_margin=None)) is None


def faults(n, **values):
    return [severe(z_seed=i, first_image=image(i), severe_image=image(i % 3), **values) for i in range(n)]


@pytest.fixture(scope="module")
def cells():
    torch.manual_seed(0)
    network = DensityNetwork(build("resnet", 1, 10, {"widths": [4, 8]}), 36, 2)
    real = torch.from_numpy(np.stack([image(i) for i in range(60)]))
    return FeatureCells(ClassDensity(network, torch.rand(9), id="d", quantile=0.9), real, cells=5)


def test_faults_are_counted_in_cells_at_equal_numbers(cells):
    found = faults(EQUAL_N)
    measured = Unjudged(found, cells, None)(found)
    assert measured["coverage_by_valid"] == len(set(cells.of([r.first_image for r in found]))) / 5
    assert measured["coverage_by_robust"] == len(set(cells.of([image(i) for i in range(3)]))) / 5
    assert measured["crossing_pixels_median"] == pytest.approx(np.median([in_pixels(r) for r in found]))
    assert measured["crossing_w_median"] is None


def test_what_is_not_there_is_not_measured(cells):
    assert Unjudged([record()], None, None)([record()]) == dict.fromkeys(NAMES)
    few = Unjudged(faults(EQUAL_N - 1), cells, None)(faults(EQUAL_N - 1))
    assert few["coverage_by_valid"] is few["coverage_by_robust"] is None
