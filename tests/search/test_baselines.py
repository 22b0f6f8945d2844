"""What each baseline finds on linear toys, whose boundary is solved for, and that its rows render its images again."""

import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from latreg.errors import LatregError
from latreg.interfaces import Evaluation, Proposal
from latreg.jobs.assembly import white_box
from latreg.runs.records import read_part, write_part
from latreg.search.cma_me import CMAME, measures
from latreg.search.engine import Limits
from latreg.search.genetic import Genetic
from latreg.search.gradient import Gradient
from latreg.search.mimicry import Mimicry
from latreg.search.outcome import saved_images, to_record
from latreg.search.recipes import Request
from latreg.search.walk import Walk
from tests.helpers.toy_search import CONTEXT, SOURCES, make_engine
from tests.helpers.toys import ScriptedAppraiser

SPACE = {"num_ws": 8, "z_dim": 6}
WALK = Walk(0.5, 200, run_seed=0).prepared(**SPACE)
GENETIC = Genetic(25, 10, 0.1, 50, run_seed=0).prepared(**SPACE)
CMA_ME = CMAME(2.0, 10, 50, 20, 0.2, 10, "itp", "robust", run_seed=0).prepared(**SPACE)
MIMICRY = Mimicry(10, 8, run_seed=0).prepared(**SPACE)
GRADIENT = Gradient(0.25, 4.0, 40, 10, "itp").prepared(**SPACE)
STEEP = 0.02  # what rounding to 8 bits does to a solved distance


@cache
def found(strategy):
    engine = make_engine(strategy, limits=Limits(max_queries_per_source=300))
    searches = [search for search in engine.run(SOURCES) if search.pair]
    assert len(searches) >= 5
    return engine, searches


def logits(engine, requests):
    pixels = engine.renderer.generator.synthesize(engine.renderer.compose(requests)).flatten(1)
    return engine.sut.logits(pixels - engine.sut.offset)


def solved_distance(engine, search):
    """From the source's z to the nearest boundary: the gap of two logits over the length of its gradient."""
    own = logits(engine, [Request(search.source, search.start.proposal)])[0]
    to_z = engine.sut.weight.T @ engine.renderer.generator.matrix.T / 4  # (K, z_dim)
    label, others = search.source.label, [c for c in range(3) if c != search.source.label]
    return min(float((own[label] - own[c]) / (to_z[label] - to_z[c]).norm()) for c in others)


@pytest.mark.parametrize("strategy", [WALK, GENETIC, CMA_ME], ids=lambda strategy: strategy.name)
def test_no_fault_is_nearer_than_the_solved_boundary(strategy):
    engine, searches = found(strategy)
    for search in searches:
        offset = np.linalg.norm(search.pair.first.proposal.latent.values)
        assert offset >= solved_distance(engine, search) * (1 - STEEP)


@pytest.mark.parametrize("strategy", [GENETIC, CMA_ME], ids=lambda strategy: strategy.name)
def test_the_margin_leads_a_population_to_its_fault(strategy):
    (_, led), (_, blind) = found(strategy), found(WALK)
    assert len(led) == len(SOURCES)
    assert len(led) > 1.5 * len(blind)


@pytest.mark.parametrize("strategy", [replace(WALK, sigma=0.0), replace(GENETIC, sigma=0.0)])
def test_without_noise_nothing_leaves_the_source(strategy):
    limits = Limits(max_queries_per_source=40)
    for search in make_engine(strategy, limits=limits).run(SOURCES[:3]):
        assert search.pair is None


def test_the_two_images_of_mimicry_lie_on_both_sides_of_the_solved_boundary():
    """An image of the toy depends on the mean of the layers' alphas alone."""
    engine, searches = found(MIMICRY)
    for search in searches:
        last, first = search.pair.last.proposal, search.pair.first.proposal
        ends = [Proposal(1.0, first.partner_z_seed, first.rival, tuple(range(8)), alpha) for alpha in (0.0, 1.0)]
        both = logits(engine, [Request(search.source, end) for end in ends])
        gap = both[:, search.source.label] - both[:, search.pair.first.predicted]
        solved = float(gap[0] / (gap[0] - gap[1]))
        means = [np.mean(end.latent.values) if end.latent else 0.0 for end in (last, first)]
        assert means[0] - STEEP <= solved <= means[1] + STEEP


def test_the_pairs_of_cma_me_lie_on_the_solved_boundary_of_their_line():
    engine, searches = found(CMA_ME)
    for search in searches:
        last, first = search.pair.last.proposal, search.pair.first.proposal
        own, at_first = logits(engine, [Request(search.source, at) for at in (search.start.proposal, first)])
        gap = [float(at[search.source.label] - at[search.pair.first.predicted]) for at in (own, at_first)]
        lengths = [np.linalg.norm(end.latent.values) if end.latent else 0.0 for end in (last, first)]
        solved = lengths[1] * gap[0] / (gap[0] - gap[1])
        assert lengths[0] * (1 - STEEP) <= solved <= lengths[1] * (1 + STEEP)


def test_a_map_without_a_goal_is_filled_with_faults_of_its_cells():
    """Until the budget is spent: one of each cell, so of different boldness or lightness."""
    limits = Limits(max_queries_per_source=200)
    for search in make_engine(replace(CMA_ME, until=None), limits=limits).run(SOURCES[:4]):
        assert search.queries == 200
        assert len(search.findings) > 3
        ends = [found.pair.beyond.end if found.pair.beyond else found.pair.first for found in search.findings]
        places = [measures(end) - measures(search.start) for end in ends]
        cells = [tuple(np.clip(np.floor(place / 0.02), -10, 9)) for place in places]
        assert len(set(cells)) == len(cells)


def test_boldness_is_the_share_of_bright_pixels_and_lightness_their_mean():
    levels = np.zeros((1, 2, 2), np.uint8)
    levels[0, 0] = 255, 204
    assert measures(Evaluation(Proposal(1.0), 0, levels, np.array([1.0]))) == pytest.approx([0.5, 0.9])
    assert not measures(Evaluation(Proposal(1.0), 0, levels // 3, np.array([1.0]))).any()


def test_a_gradient_leads_straight_to_the_solved_boundary():
    """Of the linear toy it is the same everywhere, so all steps go one way as long as the next best class stays."""
    engine, searches = found(GRADIENT)
    assert len(searches) == len(SOURCES)
    straight = 0
    for search in searches:
        nearest = solved_distance(engine, search) / 4  # w is a quarter of z
        crossing = np.linalg.norm(search.pair.first.proposal.latent.values)
        assert crossing >= nearest * (1 - STEEP)
        straight += search.pair.first.predicted == search.start.rivals(1)[0] and crossing <= nearest * (1 + STEEP)
        assert search.queries <= 2 * np.ceil(GRADIENT.radius / GRADIENT.step) + 2 + GRADIENT.bisection_steps + 2
    assert straight >= len(SOURCES) / 2


def test_a_descent_that_comes_back_reports_what_it_had():
    def seen(margin, proposal):
        probabilities = np.array([0.5 + margin / 2, 0.5 - margin / 2], np.float32)
        return Evaluation(proposal, 0, np.zeros((1, 2, 2), np.uint8), probabilities)

    start = seen(0.4, Proposal(1.0))
    search = replace(GRADIENT, steps=2, bisection_steps=0).search(SOURCES[0], start)
    ask = next(search)
    for margin in (-0.05, 0.02):
        (proposal,) = search.send(np.ones(6)).proposals
        ask = search.send([seen(margin, proposal)])
    assert ask.pair.first.margin == pytest.approx(-0.05)


def test_no_gradient_leaves_its_ball():
    for search in make_engine(replace(GRADIENT, radius=0.5)).run(SOURCES):
        if search.pair:
            assert np.linalg.norm(search.pair.first.proposal.latent.values) <= 0.5 * (1 + 1e-6)


def test_networks_made_elsewhere_have_no_gradients():
    engine = make_engine(GRADIENT)
    with pytest.raises(LatregError, match="needs a generator and a classifier of latreg"):
        white_box(engine.renderer.generator, engine.sut)


@pytest.mark.parametrize("strategy", [WALK, GENETIC, CMA_ME, MIMICRY, GRADIENT], ids=lambda strategy: strategy.name)
def test_a_row_renders_its_images_again(strategy, tmp_path):
    engine, searches = found(strategy)
    rows = [to_record(search, CONTEXT) for search in searches]
    for row in read_part(write_part(tmp_path, 0, rows, ScriptedAppraiser.columns)):
        images = saved_images(row)
        assert len(images) >= 2 + (row.latent_last is not None)
        again = engine.renderer.render([image.request for image in images]).numpy()
        assert torch.equal(torch.from_numpy(again), torch.from_numpy(np.stack([image.image for image in images])))


def test_genetic_refuses_to_keep_everybody():
    with pytest.raises(LatregError, match=r"strategy.keep must be below strategy.population, 25, got 25"):
        replace(GENETIC, keep=25).prepared(**SPACE)


@pytest.mark.parametrize(
    ("strategy", "module"), [(MIMICRY, "pymoo.algorithms.moo.nsga2"), (CMA_ME, "ribs.emitters")], ids=["pymoo", "ribs"]
)
def test_a_missing_extra_is_one_sentence(strategy, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"strategy={strategy.name} needs an extra: pip install 'latreg\[baselines\]'"
    with pytest.raises(LatregError, match=message):
        strategy.prepared(**SPACE)
