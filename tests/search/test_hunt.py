"""What the options of a hunt change of plain mixing, on linear toys whose judge draws its boundaries elsewhere."""

from dataclasses import replace

import pytest

from latreg.config import SearchConfig
from latreg.interfaces import BoundaryPair, Proposal
from latreg.jobs.assembly import make_gate
from latreg.search.criteria import BaselineGate
from latreg.search.mixing import Mixing
from latreg.search.protocol import query_one, report
from latreg.search.truncation import Salvage
from tests.helpers.toy_search import SOURCES, BiasedJudge, make_engine, outcome
from tests.helpers.toys import ScriptedAppraiser

ALL_LAYERS = Mixing((tuple(range(8)),), 1, 1, False, 10, "valid", run_seed=0)


def searches(strategy, appraiser=None, sources=SOURCES, **kwargs):
    return list(make_engine(strategy, appraiser=appraiser or BiasedJudge(), **kwargs).run(sources))


class TestGivingUp:
    @pytest.fixture(scope="class")
    def pairs(self):
        """Each source with one mixture, bisected to the end and given up where it is hopeless."""
        return list(zip(searches(ALL_LAYERS), searches(replace(ALL_LAYERS, give_up=True)), strict=True))

    def test_it_loses_no_valid_fault(self, pairs):
        valid = [plain for plain, _ in pairs if plain.verdict and plain.verdict.valid]
        assert 5 <= len(valid) < len(pairs)
        for plain, hunt in pairs:
            if plain in valid:
                assert outcome(hunt) == outcome(plain)
            else:
                assert not (hunt.verdict and hunt.verdict.valid)

    def test_it_saves_queries_on_the_others_and_still_reports_their_flip(self, pairs):
        invalid = [(plain, hunt) for plain, hunt in pairs if plain.verdict and not plain.verdict.valid]
        assert len(invalid) >= 3
        assert all(hunt.queries <= plain.queries for plain, hunt in invalid)
        assert sum(hunt.queries for _, hunt in invalid) < 0.7 * sum(plain.queries for plain, _ in invalid)
        assert all(hunt.pair is not None for plain, hunt in invalid if hunt.queries > 1)

    def test_a_source_that_is_invalid_costs_one_query(self):
        for search in searches(replace(ALL_LAYERS, give_up=True), ScriptedAppraiser(valid=False)):
            assert (search.queries, search.pair) == (1, None)

    def test_with_a_judge_that_agrees_to_everything_nothing_changes(self):
        plain, hunt = (searches(replace(ALL_LAYERS, give_up=give_up), ScriptedAppraiser()) for give_up in (False, True))
        assert [outcome(search) for search in hunt] == [outcome(search) for search in plain]

    def test_results_do_not_depend_on_company(self):
        strategy = replace(ALL_LAYERS, give_up=True, partners=3, top_k=2)
        together = [outcome(search) for search in searches(strategy, sources=SOURCES[:9])]
        alone = [outcome(search) for source in SOURCES[:9] for search in searches(strategy, sources=[source], chunk=1)]
        assert together == alone


class TestUncertainOnly:
    def test_confident_sources_cost_one_query_and_the_others_are_searched_as_before(self):
        everything = searches(ALL_LAYERS, sharpness=2.0)
        uncertain = searches(ALL_LAYERS, sharpness=2.0, gate=make_gate(SearchConfig(uncertain_only=True)))
        seconds = [sorted(search.start.probabilities)[-2] for search in everything]
        assert {second < 0.01 for second in seconds} == {True, False}
        for before, after, second in zip(everything, uncertain, seconds, strict=True):
            assert after.rejected_because == before.rejected_because
            if second < 0.01:
                assert (after.queries, after.pair) == (1, None)
            else:
                assert outcome(after) == outcome(before)

    def test_it_is_off_by_default(self):
        assert make_gate(SearchConfig()) == BaselineGate()

    def test_no_other_psi_is_tried_for_a_confident_source(self):
        gate = BaselineGate(min_second=1.0)
        for search in searches(ALL_LAYERS, gate=gate, truncation=Salvage((1.0, 0.5))):
            if search.rejected_because is None and search.start.proposal.psi == 1.0:
                assert search.queries == 1


def test_of_pairs_worth_the_same_the_narrowest_is_kept():
    class TwoPairs:
        name, needs_accepted = "two pairs", False

        def search(self, source, start):
            for width in (0.5, 0.25, 1.0):
                evaluation = yield from query_one(Proposal(1.0 - width))
                yield from report(start, BoundaryPair(start, evaluation, width))

    for search in searches(TwoPairs(), ScriptedAppraiser()):
        assert search.pair.width == 0.25
