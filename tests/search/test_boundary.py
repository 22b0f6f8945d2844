"""Both root finders on a SUT of one number, whose boundary is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latreg.interfaces import Evaluation, Proposal
from latreg.search.boundary import find_boundary

FINDERS = ("bisection", "itp")
IMAGE = np.zeros((1, 1, 1), dtype=np.uint8)


def evaluate(log_odds, alpha):
    """Of two classes, label 0."""
    odds = np.exp(np.clip(log_odds(alpha), -700, 700))
    p = np.array([odds / (1 + odds), 1 / (1 + odds)], dtype=np.float32)
    return Evaluation(Proposal(psi=1.0, alpha=alpha), 0, IMAGE, p)


def find(log_odds, steps=12, ends=(0.0, 1.0), **options):
    """The pair and the number of queries."""
    last, first = ((alpha, evaluate(log_odds, alpha)) for alpha in ends)
    search = find_boundary(lambda alpha: Proposal(psi=1.0, alpha=alpha), last, first, steps, **options)
    queries, answer = 0, None
    try:
        while True:
            (proposal,) = search.send(answer).proposals
            queries, answer = queries + 1, [evaluate(log_odds, proposal.alpha)]
    except StopIteration as end:
        return end.value, queries


def alphas(pair):
    return pair.last.proposal.alpha, pair.first.proposal.alpha


@given(
    root=st.floats(0.001, 0.999), before=st.floats(0.1, 200), after=st.floats(0.1, 200), power=st.floats(0.3, 3)
)  # fmt: skip
def test_both_end_at_the_same_neighbours_within_their_queries(root, before, after, power):
    def log_odds(alpha):
        distance = abs(alpha - root) ** power
        return before * distance if alpha < root else -after * distance - 1e-3

    found = {finder: find(log_odds, root_finder=finder) for finder in FINDERS}
    (bisected, steps), (guessed, queries) = found["bisection"], found["itp"]
    assert steps == 12
    assert queries <= 13
    assert alphas(guessed) == alphas(bisected)
    assert guessed.width == bisected.width == 2**-12
    last, first = alphas(guessed)
    assert last < root <= first or last == pytest.approx(root)


def test_guessing_takes_half_the_queries_where_the_log_odds_are_nearly_linear():
    rng = np.random.default_rng(0)
    roots, bends = rng.uniform(0.02, 0.98, 200), rng.uniform(-0.5, 0.5, 200)
    queries = [
        find(lambda a, r=r, b=b: 20 * (r - a) * (1 + b * (a - r)), root_finder="itp")[1]
        for r, b in zip(roots, bends, strict=True)
    ]
    assert np.mean(queries) < 6.5


@pytest.mark.parametrize("root", [0.0001, 0.3, 0.9999])
def test_a_classifier_of_bare_labels_costs_a_query_more_at_worst(root):
    pair, queries = find(lambda alpha: 1e6 if alpha < root else -1e6, root_finder="itp")
    assert alphas(pair)[0] < root <= alphas(pair)[1]
    assert queries <= 13


@pytest.mark.parametrize("finder", FINDERS)
def test_downwards_and_without_steps(finder):
    def log_odds(psi):
        return 10 * (psi - 0.62)

    pair, _ = find(log_odds, steps=5, ends=(0.7, 0.6), root_finder=finder)
    assert pair.width == pytest.approx(0.1 / 32)
    assert pair.last.proposal.alpha > 0.62 > pair.first.proposal.alpha
    assert find(log_odds, steps=0, ends=(0.7, 0.6), root_finder=finder)[1] == 0


@pytest.mark.parametrize("finder", FINDERS)
def test_it_ends_where_an_image_is_not_promising(finder):
    asked = []

    def promising(image):
        asked.append(image)
        return False
        yield

    pair, queries = find(lambda alpha: 0.7 - alpha, promising=promising, root_finder=finder)
    assert asked == [pair.last]
    assert queries <= 13
    assert pair.width > 2**-12
