"""Noise of one gray level tells a fault on a knife edge from one that is none, and no search spends its queries."""

import numpy as np
import pytest

from latreg.interfaces import NOISE_DRAWS as DRAWS
from latreg.interfaces import BoundaryPair, Evaluation, Finding, Judged, Proposal, Source, Verdict
from latreg.search.engine import SourceSearch
from latreg.search.mixing import Mixing
from latreg.search.outcome import to_record
from latreg.search.stability import Stability, noisy, stability_of
from tests.helpers.toy_search import CONTEXT, SOURCES, BiasedJudge, make_engine

SOURCE = Source(1, 3)
GRAY = np.full((1, 8, 8), 100, np.uint8)


def evaluation(image=GRAY, right=0.4):
    return Evaluation(Proposal(1.0), SOURCE.label, image, np.array([1 - right, right], np.float32))


def search_with(first, severe=None, valid=True):
    verdict = Verdict(valid, {})
    best = Finding(BoundaryPair(None, first), verdict, severe and Judged(severe, verdict))
    return SourceSearch(SOURCE, 10, start=evaluation(right=0.9), findings=[best], best=best)


def brightness(images, source):
    """A classifier that sees class 0, which is wrong, in images of at least a mean brightness of 100."""
    return [np.array([1.0, 0.0] if image.mean() >= 100 else [0.0, 1.0]) for image in images]


def test_noise_moves_every_pixel_by_at_most_one_level_and_wraps_nowhere():
    image = np.random.default_rng(0).choice(np.array([0, 1, 128, 254, 255], np.uint8), (3, 16, 16))
    draws = noisy(image, SOURCE).astype(int)
    assert draws.shape == (DRAWS, 3, 16, 16)
    change = draws - image
    assert set(np.unique(change)) == {-1, 0, 1}
    assert abs(change[:, (image > 0) & (image < 255)].mean()) < 0.1
    assert len({draw.tobytes() for draw in draws}) == DRAWS


def test_noise_depends_on_the_source_and_the_shape_alone():
    assert np.array_equal(noisy(GRAY, SOURCE), noisy(GRAY, SOURCE))
    assert not np.array_equal(noisy(GRAY, SOURCE), noisy(GRAY, Source(1, 4)))


def test_an_image_on_the_knife_edge_is_unstable_and_one_behind_it_is_stable():
    edge = stability_of(search_with(evaluation()), brightness)
    assert 0.1 <= edge.first <= 0.9
    assert stability_of(search_with(evaluation(GRAY + 2)), brightness).first == 1
    both = stability_of(search_with(evaluation(), evaluation(GRAY + 2, right=0.1)), brightness)
    assert both == Stability(edge.first, 1.0, 2 * DRAWS)


def test_an_image_that_is_its_own_most_severe_point_is_shown_once():
    first = evaluation()
    found = stability_of(search_with(first, first), brightness)
    assert (found.first == found.severe, found.queries) == (True, DRAWS)


def test_a_source_without_a_pair_costs_nothing():
    assert stability_of(SourceSearch(SOURCE, 10), brightness) == Stability()


@pytest.mark.parametrize(
    ("right", "valid", "stability", "robust"),
    [
        (0.499, True, Stability(0.9, 0.9), False),
        (0.499, True, Stability(0.2, 1.0), True),
        (0.499, True, None, None),  # the draws would decide
        (0.3, True, None, True),  # the margin does
        (0.3, True, Stability(0.2, 0.2), True),
        (0.3, False, Stability(1.0, None), False),
    ],
)
def test_robust_is_what_is_wrong_by_a_margin_or_in_every_draw(right, valid, stability, robust):
    severe = evaluation(right=right) if valid else None
    row = to_record(search_with(evaluation(right=0.4999), severe, valid), CONTEXT, stability)
    assert (row.valid_fault, row.robust_fault) == (valid, robust)
    assert row.stability_queries == (None if stability is None else stability.queries)


def test_it_is_the_same_in_any_batch_and_no_query_of_the_search():
    strategy = Mixing((tuple(range(8)),), 2, 1, False, 10, "valid", run_seed=0)

    def measured(chunk):
        engine = make_engine(strategy, appraiser=BiasedJudge(), chunk=chunk, severity_steps=5)
        found = [search for search in engine.run(SOURCES) if search.best]
        before = engine.queries
        stabilities = [stability_of(search, engine.measure) for search in found]
        assert engine.queries == before
        assert sum(map(len, engine.sut.seen)) == before + sum(one.queries for one in stabilities)
        return stabilities

    stabilities = measured(1)
    assert stabilities == measured(64)
    firsts, severes = ([getattr(one, name) for one in stabilities if one.severe] for name in ("first", "severe"))
    assert 0.2 < np.mean(firsts) < 0.8
    assert np.mean(severes) > np.mean(firsts) + 0.2
