"""How wrong the SUT gets behind a boundary: the walk to the most severe valid point, on linear toys with two judges."""

from dataclasses import replace

import numpy as np
import pytest

from latreg.interfaces import ROBUST_MARGIN, BoundaryPair, Evaluation, Finding, Judged, Proposal, Verdict
from latreg.search.engine import Limits
from latreg.search.mixing import Mixing
from latreg.search.outcome import saved_images, to_record
from latreg.search.protocol import query_one, report
from latreg.search.random import RandomTruncation
from latreg.search.recipes import Request
from latreg.search.sampling import Sampling
from tests.helpers.toy_search import CONTEXT, SOURCES, BiasedJudge, make_engine, outcome
from tests.helpers.toys import ScriptedAppraiser

STEPS = 5
ALL_LAYERS = Mixing((tuple(range(8)),), 2, 1, False, 10, "valid", run_seed=0, give_up=True)
RANDOM = RandomTruncation((0.8, 0.6, 0.4, 0.2, 0.0), bisection_steps=6)
STRATEGIES = {"mixing": ALL_LAYERS, "robust": replace(ALL_LAYERS, until="robust"), "random": RANDOM}


def searched(strategy=ALL_LAYERS, *, steps=STEPS, sources=SOURCES, most=60, appraiser=None, **kwargs):
    limits = kwargs.pop("limits", Limits(max_queries_per_source=most))
    engine = make_engine(
        strategy, appraiser=appraiser or BiasedJudge(), center="global", limits=limits, severity_steps=steps, **kwargs
    )
    return list(engine.run(sources))


def seen(search):
    """What must not depend on how a run was executed."""
    severe = search.best and search.best.severe
    return *outcome(search), search.appraisals, severe and (severe.evaluation.proposal, severe.evaluation.margin)


@pytest.fixture(scope="module")
def walked():
    return {name: searched(strategy) for name, strategy in STRATEGIES.items()}


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_most_severe_point_lies_further_than_the_boundary_and_is_valid(walked, name):
    found = [search.best for search in walked[name] if search.best and search.best.valid]
    further = [one for one in found if one.severe.evaluation is not one.pair.first]
    assert len(further) >= 3
    for one in further:
        last, first, severe = one.pair.last, one.pair.first, one.severe.evaluation
        assert one.severe.verdict.valid
        assert severe.flipped
        assert severe.margin < first.margin < 0
        place = "psi" if name == "random" else "alpha"
        at_last, at_first, at_severe = (getattr(image.proposal, place) for image in (last, first, severe))
        assert at_last < at_first < at_severe or at_last > at_first > at_severe


def test_it_ends_where_the_judge_does(walked):
    """On a line between two images of linear networks the gates hold up to one point, which bisection approaches."""
    for search in walked["mixing"]:
        one = search.best
        if one is None or not one.valid or one.severe.evaluation is one.pair.beyond.end:
            continue
        beyond, severe = one.pair.beyond, one.severe.evaluation.proposal
        width = (beyond.stop - beyond.start) / 2**STEPS
        (there,) = searched(_Look(beyond, severe.alpha + width), sources=[search.source])
        assert not there.best.valid


class _Look(Sampling):
    """Reports the image at one point of a segment."""

    needs_accepted = True

    def __init__(self, beyond, alpha):
        object.__setattr__(self, "beyond", beyond)
        object.__setattr__(self, "alpha", alpha)

    def search(self, source, start):
        image = yield from query_one(self.beyond.propose(self.alpha))
        yield from report(start, BoundaryPair(None, image))


@pytest.mark.parametrize("name", STRATEGIES)
def test_its_queries_are_counted_and_stay_within_the_budget(walked, name):
    spent = [found.walk_queries for search in walked[name] for found in search.findings]
    assert 0 < max(spent) <= STEPS
    assert all(found.walk_queries == 0 for s in walked[name] for found in s.findings if not found.valid)
    if name == "mixing":  # which ends with its first valid pair, so that the walk comes last
        for plain, further in zip(searched(steps=0), walked[name], strict=True):
            assert further.queries == plain.queries + sum(found.walk_queries for found in further.findings)
    for most in (8, 13):
        assert all(search.queries <= most for search in searched(STRATEGIES[name], most=most))


def test_where_the_budget_ends_the_walk_the_best_point_until_then_counts(walked):
    walks = [search for search in walked["mixing"] if search.best and search.best.walk_queries == STEPS]
    for whole in walks[:3]:
        for left in (0, 2, STEPS - 1):
            (short,) = searched(sources=[whole.source], most=whole.queries - STEPS + left)
            assert (short.stopped_by_budget, short.queries) == (True, whole.queries - STEPS + left)
            assert short.best.walk_queries == left
            assert short.pair.first.proposal == whole.pair.first.proposal
            assert whole.best.severe.evaluation.margin <= short.best.severe.evaluation.margin <= short.pair.first.margin


@pytest.mark.parametrize("name", STRATEGIES)
def test_without_a_walk_nothing_changes_but_what_it_would_have_found(walked, name):
    plain = searched(STRATEGIES[name], steps=0)
    assert all(found.severe is None and found.walk_queries == 0 for search in plain for found in search.findings)
    if name == "random":  # reports once, so that nothing comes after the walk
        assert [outcome(a)[-1] for a in plain] == [outcome(b)[-1] for b in walked[name]]


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_depends_on_nothing_that_runs_beside_it(walked, name):
    reference = [seen(search) for search in walked[name]]
    for chunk, concurrency in ((1, 1), (7, 100)):
        limits = Limits(max_queries_per_source=60, concurrency=concurrency)
        assert [seen(search) for search in searched(STRATEGIES[name], limits=limits, chunk=chunk)] == reference
    parts = [searched(STRATEGIES[name], sources=SOURCES[a:b]) for a, b in ((0, 5), (5, 6), (6, 24))]
    assert [seen(search) for part in parts for search in part] == reference


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_run_that_goes_on_spends_its_budget_as_if_it_had_never_stopped(name):
    limits = Limits(max_queries=300, max_queries_per_source=60)
    whole = [seen(search) for search in searched(STRATEGIES[name], limits=limits)]
    spent = sum(row[2] for row in whole[:4])
    engine = make_engine(
        STRATEGIES[name], appraiser=BiasedJudge(), center="global", limits=limits, severity_steps=STEPS
    )
    assert [seen(search) for search in engine.run(SOURCES[4:], spent)] == whole[4:]


def test_where_all_is_valid_the_end_of_the_segment_is_taken_at_no_cost():
    for search in searched(RANDOM, appraiser=ScriptedAppraiser()):
        if search.best and search.pair.beyond:
            assert search.best.walk_queries == 0
            assert search.best.severe.evaluation is search.pair.beyond.end


def test_a_fault_without_a_search_is_its_own_most_severe_point():
    for search in searched(Sampling(), appraiser=ScriptedAppraiser(), sharpness=0.5):
        if search.best:
            assert search.best.severe.evaluation is search.pair.first is search.start


def test_a_hunt_for_robust_faults_goes_on_after_a_valid_one_that_is_none(walked):
    robust = [search for search in walked["robust"] if any(found.robust for found in search.findings)]
    assert robust
    for search in robust:
        assert search.best.robust
        assert [found.robust for found in search.findings].index(True) == len(search.findings) - 1
    others = [s for s in walked["robust"] if s.best and s.best.valid and not s.best.robust]
    assert all(search.stopped_by_budget or len(search.findings) >= 1 for search in others)


@pytest.mark.parametrize(("margin", "robust"), [(-0.05, False), (-ROBUST_MARGIN, True), (-0.6, True)])
def test_a_robust_pair_is_wrong_by_a_margin_where_it_is_most_severe(margin, robust):
    right, wrong = (1 + margin) / 2, (1 - margin) / 2
    image = Evaluation(Proposal(1.0), 0, np.zeros((1, 2, 2), np.uint8), np.array([right, wrong]))
    edge = replace(image, probabilities=np.array([0.4999, 0.5001]))
    for valid in (True, False):
        verdict = Verdict(valid, {})
        assert Finding(BoundaryPair(None, image), verdict).robust is (robust and valid)
        assert Finding(BoundaryPair(None, edge), verdict, Judged(image, verdict)).robust is (robust and valid)


def test_the_record_holds_the_most_severe_image_and_how_to_render_it_again(walked):
    search = next(s for s in walked["mixing"] if s.best and s.best.severe and s.best.walk_queries)
    row = to_record(search, CONTEXT)
    severe = search.best.severe.evaluation
    assert (row.severe_margin, row.severe_alpha) == (severe.margin, severe.proposal.alpha)
    assert row.walk_queries == sum(found.walk_queries for found in search.findings)
    assert row.severe_measured == search.best.severe.verdict.measured
    saved = saved_images(row)[-1]
    assert (saved.role, saved.request) == ("severe", Request(search.source, severe.proposal))
    assert np.array_equal(make_engine(ALL_LAYERS, center="global").renderer.render([saved.request])[0], severe.image)


def test_the_record_holds_every_pair_that_was_reported(walked):
    several = [search for search in walked["robust"] if len(search.findings) > 1]
    assert several
    for search in several:
        rows = to_record(search, CONTEXT).pairs
        assert [row.number for row in rows] == list(range(len(search.findings)))
        assert [row.kept for row in rows] == [found is search.best for found in search.findings]
        assert [row.first_margin for row in rows] == [found.pair.first.margin for found in search.findings]
        queries = [row.queries for row in rows]
        assert queries == sorted(queries)
        assert queries[-1] <= search.queries
