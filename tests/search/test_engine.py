"""The contract of all strategies in conf/, and each one's own promises, on linear toys."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from latreg.config import conf_dir
from latreg.errors import LatregError, NotFiniteError
from latreg.interfaces import BoundaryPair, Latent, Proposal, Source
from latreg.jobs.assembly import make_strategy
from latreg.search.criteria import BaselineGate
from latreg.search.engine import VERDICTS_AT_ONCE, Limits
from latreg.search.mixing import Mixing
from latreg.search.outcome import to_record
from latreg.search.protocol import query, report
from latreg.search.random import RandomTruncation
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer
from latreg.search.sampling import Sampling
from latreg.search.truncation import Fixed, Minimal, Salvage
from tests.helpers.settings import config
from tests.helpers.toy_search import CONTEXT, SOURCES, make_engine, outcome
from tests.helpers.toys import LinearGenerator, LinearSUT, ScriptedAppraiser


@cache
def configured(name):
    """The strategy of conf/strategy/<name>.yaml."""
    return make_strategy(config(f"strategy={name}").strategy, LinearGenerator())


STRATEGIES = sorted(path.stem for path in Path(conf_dir(), "strategy").glob("*.yaml"))
RANDOM = RandomTruncation((0.8, 0.6, 0.4, 0.2, 0.0), bisection_steps=10)
MIXING = Mixing(((7,), (4, 5, 6, 7), tuple(range(8))), 3, 2, True, 10, "screened", run_seed=0)


def outcomes(engine, sources=SOURCES, **kwargs):
    return [outcome(search) for search in engine.run(sources, **kwargs)]


@pytest.mark.parametrize("name", STRATEGIES)
class TestEveryStrategy:
    def test_results_come_in_the_order_of_the_sources(self, name):
        assert [row[0] for row in outcomes(make_engine(configured(name)))] == SOURCES

    def test_results_do_not_depend_on_chunk_or_concurrency(self, name):
        reference = outcomes(make_engine(configured(name)))
        for chunk, concurrency in ((1, 1), (64, 5), (7, 100)):
            limits = Limits(max_queries_per_source=40, concurrency=concurrency)
            assert outcomes(make_engine(configured(name), chunk=chunk, limits=limits)) == reference

    def test_results_do_not_depend_on_where_the_sources_are_cut(self, name):
        reference = outcomes(make_engine(configured(name)))
        parts = [outcomes(make_engine(configured(name)), SOURCES[a:b]) for a, b in ((0, 5), (5, 6), (6, 24))]
        assert [row for part in parts for row in part] == reference

    def test_every_query_is_counted_where_the_sut_is_called(self, name):
        engine = make_engine(configured(name))
        found = list(engine.run(SOURCES))
        assert sum(search.queries for search in found) == engine.queries
        assert engine.queries == sum(map(len, engine.sut.seen)) + engine.slopes.asked

    def test_the_sut_sees_8_bit_images_only(self, name):
        engine = make_engine(configured(name))
        list(engine.run(SOURCES[:3]))
        levels = torch.cat(engine.sut.seen) * 255
        torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)

    def test_a_pair_lies_on_both_sides_of_the_boundary(self, name):
        engine = make_engine(configured(name), center="global", limits=Limits(max_queries_per_source=150))
        pairs = [search.pair for search in engine.run(SOURCES) if search.pair]
        assert pairs or name == "sampling"
        for pair in pairs:
            assert pair.first.flipped
            assert pair.last is None or not pair.last.flipped

    @pytest.mark.parametrize("budget", [0, 1, 7, 60, 200])
    def test_the_budget_of_a_run_is_never_overspent_and_counts_in_order(self, name, budget):
        reference = outcomes(make_engine(configured(name), limits=Limits(budget, 40, concurrency=1)))
        engine = make_engine(configured(name), limits=Limits(budget, 40, concurrency=8))
        assert outcomes(engine) == reference
        assert engine.queries <= budget
        assert len(reference) < len(SOURCES) or engine.queries == sum(row[2] for row in reference)

    def test_a_resumed_run_takes_its_spent_queries_along(self, name):
        limits = Limits(max_queries=100, max_queries_per_source=40)
        whole = outcomes(make_engine(configured(name), limits=limits))
        spent = sum(row[2] for row in whole[:2])
        rest = outcomes(make_engine(configured(name), limits=limits), SOURCES[2:], spent=spent)
        assert whole[:2] + rest == whole

    def test_no_source_costs_more_than_its_cap(self, name):
        limits = Limits(max_queries_per_source=6)
        assert all(search.queries <= 6 for search in make_engine(configured(name), limits=limits).run(SOURCES))


@pytest.mark.parametrize("strategy", [RANDOM, replace(MIXING, until="flipped")], ids=["random", "mixing"])
def test_a_flip_whose_boundary_the_budget_does_not_reach_is_reported_with_a_wider_bracket(strategy):
    whole = [search for search in make_engine(strategy, center="global").run(SOURCES) if search.pair]
    assert len(whole) >= 3
    for search in whole:
        limits = Limits(max_queries_per_source=search.queries - 4)
        (short,) = make_engine(strategy, center="global", limits=limits).run([search.source])
        assert short.stopped_by_budget
        assert short.queries == search.queries - 4
        assert short.pair.first.flipped
        assert not short.pair.last.flipped
        assert short.pair.width == pytest.approx(2**4 * search.pair.width)
        assert short.verdict is not None


def test_a_question_without_proposals_is_answered_with_nothing():
    @dataclass(frozen=True)
    class Idle(Sampling):
        def search(self, source, start):
            assert (yield from query([])) == []

    assert [search.queries for search in make_engine(Idle()).run(SOURCES[:2])] == [1, 1]


@pytest.mark.parametrize(
    ("proposal", "message"),
    [
        (Proposal(1.0, 7, 1, (8,)), r"must name layers 0 .. 7, got \(8,\)"),
        (Proposal(1.0, 7, None, (3,)), "that mixes must name a partner_z_seed and a rival, got 7 and None"),
        (Proposal(1.0, latent=Latent("alphas", (0.5,) * 8)), "got None and None"),
        (Proposal(1.0, latent=Latent("W", (0.5,) * 6)), "got the layers .* and 6 numbers of 'W'"),
        (Proposal(1.0, latent=Latent("w", (0.5,))), "got the layers .* and 1 numbers of 'w'"),
        (Proposal(1.0, 7, 1, (3,), latent=Latent("z", (0.5,) * 6)), r"got the layers \(3,\)"),
    ],
)
def test_a_recipe_that_says_more_than_is_rendered_is_refused(proposal, message):
    with pytest.raises(LatregError, match=message):
        make_engine(Sampling()).evaluate([Request(SOURCES[0], proposal)])


def test_a_pair_on_one_side_of_the_boundary_is_refused():
    @dataclass(frozen=True)
    class Boaster(Sampling):
        def search(self, source, start):
            yield from report(start, BoundaryPair(None, start))

    (search,) = make_engine(Boaster()).run(SOURCES[:1])
    with pytest.raises(LatregError, match=r"got the answers \[None, 0\] to images of class 0, z_seed 0"):
        to_record(search, CONTEXT)


def test_a_recipe_renders_the_image_that_was_saved():
    engine = make_engine(MIXING)
    for search in engine.run(SOURCES):
        for evaluation in (search.start, *([search.pair.last, search.pair.first] if search.pair else [])):
            again = engine.renderer.render([Request(search.source, evaluation.proposal)])[0].numpy()
            assert np.array_equal(again, evaluation.image)


def test_mixing_lands_on_the_solved_boundary():
    """Mixing all layers moves linearly between two images, so alpha at the boundary of two linear logits is known."""
    generator = LinearGenerator()
    sut = LinearSUT(generator)
    steps = 8
    strategy = Mixing((tuple(range(8)),), 1, 1, True, steps, "flipped", run_seed=0)
    checked = 0
    for search in make_engine(strategy).run(SOURCES):
        if search.pair is None:
            continue
        mixture = search.pair.first.proposal
        ends = [replace(mixture, alpha=alpha) for alpha in (0.0, 1.0)]
        w = make_engine(strategy).renderer.compose([Request(search.source, end) for end in ends])
        logits = sut.logits(generator.synthesize(w).flatten(1) - generator.offset)
        gap = logits[:, search.source.label] - logits[:, mixture.rival]
        solved = float(gap[0] / (gap[0] - gap[1]))
        assert search.pair.width == 2**-steps
        assert mixture.alpha - search.pair.width - 0.01 <= solved <= mixture.alpha + 0.01  # 0.01: 8-bit rounding
        checked += 1
    assert checked >= 10


def test_the_first_flip_lands_on_the_solved_psi():
    """Truncation towards the global center moves linearly too."""
    generator = LinearGenerator()
    sut = LinearSUT(generator)
    strategy = RandomTruncation((0.8, 0.6, 0.4, 0.2, 0.0), bisection_steps=6)
    checked = 0
    for search in make_engine(strategy, center="global").run(SOURCES):
        if search.pair is None:
            continue
        renderer = make_engine(strategy, center="global").renderer
        w = renderer.compose([Request(search.source, Proposal(psi)) for psi in (0.0, 1.0)])
        logits = sut.logits(generator.synthesize(w).flatten(1) - generator.offset)
        gap = logits[:, search.source.label] - logits[:, search.pair.first.predicted]
        solved = float(-gap[0] / (gap[1] - gap[0]))
        assert abs(search.pair.first.proposal.psi - solved) < search.pair.width + 0.02
        checked += 1
    assert checked >= 5


def test_without_bisection_the_first_flip_is_a_grid_point():
    strategy = RandomTruncation((0.8, 0.6, 0.4, 0.2, 0.0), bisection_steps=0)
    for search in make_engine(strategy, center="global").run(SOURCES):
        if search.pair is not None:
            assert search.pair.first.proposal.psi in strategy.psi_grid
            assert search.pair.width == pytest.approx(0.2)


def test_the_sweep_starts_below_the_psi_of_the_source():
    engine = make_engine(RANDOM, truncation=Fixed(0.5))
    for search in engine.run(SOURCES):
        assert search.start.proposal.psi == 0.5
        assert search.queries <= 1 + 3 + 10  # source, 0.4 0.2 0.0, bisection


def test_mixing_goes_on_until_a_pair_is_good_enough():
    strategy = replace(MIXING, until="screened")
    at_once = make_engine(strategy, appraiser=ScriptedAppraiser(screened=True))
    never = make_engine(strategy, appraiser=ScriptedAppraiser(screened=False))
    assert sum(s.queries for s in never.run(SOURCES)) > sum(s.queries for s in at_once.run(SOURCES))
    assert all(search.pair is None or search.verdict is not None for search in never.run(SOURCES))


class CountingAppraiser(ScriptedAppraiser):
    def __init__(self):
        super().__init__()
        self.batches = []

    def __call__(self, pairs):
        self.batches.append(len(pairs))
        return super().__call__(pairs)


def test_of_many_searches_those_that_want_a_verdict_wait_for_each_other():
    def run(concurrency):
        appraiser = CountingAppraiser()
        limits = Limits(max_queries_per_source=40, concurrency=concurrency)
        engine = make_engine(replace(MIXING, give_up=True), appraiser=appraiser, limits=limits)
        sources = [Source(label, z_seed) for z_seed in range(100) for label in range(3)]
        return [outcome(search) for search in engine.run(sources)], appraiser.batches

    alone, one_by_one = run(1)
    together, batches = run(200)
    assert together == alone
    assert set(one_by_one) == {1}
    assert sum(n for n in batches if n >= VERDICTS_AT_ONCE) > 0.8 * sum(batches)


def test_an_appraisal_that_is_not_finite_names_its_source():
    def appraiser(pairs):
        raise NotFiniteError("the VAE", len(pairs) - 1)

    with pytest.raises(LatregError, match=r"the VAE must answer .* to an image of class [0-2], z_seed \d+$"):
        outcomes(make_engine(MIXING, appraiser=appraiser))


def test_a_targeted_mixture_ends_in_its_rival():
    for search in make_engine(MIXING).run(SOURCES):
        if search.pair is not None:
            assert search.pair.first.predicted == search.pair.first.proposal.rival


def test_no_layers_and_no_partners_find_nothing():
    for strategy in (replace(MIXING, layer_sets=()), replace(MIXING, partners=0)):
        assert all(search.pair is None and search.queries == 1 for search in make_engine(strategy).run(SOURCES))


def test_rejected_sources_are_not_searched_but_sampled():
    gate = BaselineGate(min_confidence=0.9999999)
    for name in STRATEGIES:
        for search in make_engine(configured(name), gate=gate).run(SOURCES):
            if search.rejected_because and name != "sampling":
                assert search.queries == 1
                assert search.pair is None


class TestTruncation:
    gate = BaselineGate(min_confidence=0.97)

    def searches(self, truncation, **kwargs):
        return list(
            make_engine(Sampling(), truncation=truncation, gate=self.gate, sharpness=1.0, **kwargs).run(SOURCES)
        )

    def test_salvage_keeps_psi_1_where_it_is_accepted_and_rescues_others(self):
        plain, salvaged = self.searches(Fixed(1.0)), self.searches(Salvage((1.0, 0.7, 0.4, 0.1)))
        rejected = [s.rejected_because is not None for s in plain]
        assert any(rejected)
        assert not all(rejected)
        assert sum(s.rejected_because is None for s in salvaged) > rejected.count(False)
        for before, after in zip(plain, salvaged, strict=True):
            if before.rejected_because is None:
                assert after.start.proposal.psi == 1.0
                assert after.queries == 1

    def test_minimal_is_never_above_salvage(self):
        grid = (1.0, 0.8, 0.6, 0.4, 0.2)
        pairs = zip(self.searches(Salvage(grid)), self.searches(Minimal(grid)), strict=True)
        psis = [(a.start.proposal.psi, b.start.proposal.psi) for a, b in pairs if a.rejected_because is None]
        assert all(minimal <= salvage for salvage, minimal in psis)
        assert any(minimal < salvage for salvage, minimal in psis)

    def test_minimal_accepts_nothing_that_is_invalid(self):
        searches = self.searches(Minimal((1.0, 0.5)), appraiser=ScriptedAppraiser(valid=False))
        assert {s.rejected_because for s in searches} <= {"invalid", "confidence", "misclassified"}


def test_a_wrong_center_and_cutoff_are_refused():
    with pytest.raises(ValueError, match="center must be class or global, got 'middle'"):
        Renderer(LinearGenerator(), "middle", None, 1)
    with pytest.raises(ValueError, match=r"cutoff must be null or within 0 \.\. 8, got 9"):
        Renderer(LinearGenerator(), "class", 9, 1)
