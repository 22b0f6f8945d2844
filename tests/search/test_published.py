"""The searches as the authors' code runs them: what is tried, in which order, on which data set."""

from dataclasses import replace

import numpy as np
import pytest

from latreg.interfaces import Evaluation, Proposal, Source
from latreg.search.mixing import Mixing
from tests.helpers.settings import config

IMAGE = np.zeros((1, 2, 2), np.uint8)
PROBABILITIES = (0.9, 0.004, 0.0, 0.096)  # of class 0 and its rivals 3, 1 and, not at all, 2
EIGHT_SETS = [[7], [6], [5], [4], [3], [5, 6], [3, 4], [3, 4, 5, 6]]


def tried(strategy, probabilities=PROBABILITIES):
    """What a source is mixed with where no mixture flips it."""
    start = Evaluation(Proposal(1.0), 0, IMAGE, np.array(probabilities, np.float32))
    search, answer, seen = strategy.search(Source(0, 5), start), None, []
    while True:
        try:
            (proposal,) = search.send(answer).proposals
        except StopIteration:
            return seen
        seen.append((proposal.rival, proposal.partner_z_seed, proposal.layers))
        answer = [replace(start, proposal=proposal)]


PUBLISHED = Mixing(
    *([[7], [3, 4]], 2, 9, True, 20, "screened", 0), rivals_above=0.0, same_partners=True, rival_by_rival=True
)


def test_all_partners_of_a_rival_come_before_the_next_rival_and_are_those_of_every_source():
    layers = ((7,), (3, 4))
    assert tried(PUBLISHED) == [(rival, z_seed, of) for rival in (3, 1) for z_seed in (0, 1) for of in layers]


def test_rivals_take_turns_by_default_and_their_partners_are_drawn():
    turns = tried(replace(PUBLISHED, same_partners=False, rival_by_rival=False, rivals_above=None))
    assert [rival for rival, _, _ in turns] == [3, 3, 1, 1, 2, 2] * 2
    assert len({z_seed for _, z_seed, _ in turns}) == 6


def test_a_source_whose_second_class_is_too_unlikely_is_not_mixed():
    second_alone = replace(PUBLISHED, top_k=1, rivals_above=0.01)
    assert {rival for rival, _, _ in tried(second_alone)} == {3}
    assert tried(second_alone, (0.995, 0.002, 0.0, 0.003)) == []


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("mnist", {"top_k": 9, "rivals_above": 0, "targeted": False, "bisection_steps": 20}),
        ("fashion_mnist", {"top_k": 9, "layer_sets": [*EIGHT_SETS, [2], [3, 2]], "bisection_steps": 20}),
        ("cifar10", {"top_k": 1, "rivals_above": 0.01, "layer_sets": EIGHT_SETS, "bisection_steps": 15}),
    ],
)
def test_each_data_set_has_the_published_settings(dataset, expected):
    cfg = config(f"+experiment={dataset}_mixing_published")
    published = {"partners": 100, "same_partners": True, "rival_by_rival": True, "until": "screened", **expected}
    assert {name: getattr(cfg.strategy, name) for name in published} == published
    assert (cfg.truncation.center, cfg.search.severity_steps, cfg.validity.max_l2_rel) == ("global", 0, 1.2)
