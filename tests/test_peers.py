"""The peers of `python -m benchmarks.peers`: loops of other people find what they must on networks that are known."""

import sys
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.cases import MAX_L2_REL, MIN_SSIM, screen
from benchmarks.contest import Workload, agree, make_engine
from benchmarks.naive import NaiveNetworks
from benchmarks.peers.__main__ import as_text, compete
from benchmarks.peers.authors import FirstFlip, StyleMixing
from benchmarks.peers.contenders import Contender
from benchmarks.peers.pixels import HopSkipJump, ProjectedGradient, away_from
from benchmarks.peers.searching import Questions, Subject, search_all
from benchmarks.peers.smoo import Smoo
from benchmarks.peers.tally import Tally
from latreg.data.images import quantize, to_unit
from latreg.errors import LatregError
from latreg.interfaces import Evaluation, Proposal, Source
from latreg.search.mixing import Mixing
from latreg.search.protocol import BudgetSpentError
from latreg.search.random import RandomTruncation
from tests.helpers.example_records import record
from tests.helpers.small_case import make_case
from tests.helpers.toys import LinearGenerator, LinearSUT

CAP = 40
GRID = (0.8, 0.6, 0.4, 0.2, 0.0)
LAYERS = ((5,), (4,), (2, 3, 4, 5))
MIXING = StyleMixing(LAYERS, 4, 2, 0.0, False, 10, MIN_SSIM, MAX_L2_REL)
PUBLISHED = Mixing(LAYERS, 4, 2, False, 10, "screened", 0, rivals_above=0.0, same_partners=True, rival_by_rival=True)
case = cache(make_case)


def searched(peer, count=10):
    networks = NaiveNetworks(case().generator.network, case().sut.network, "global")
    return search_all(peer, case().sources[:count], Subject(networks, case().sut, CAP), screen)


@pytest.mark.parametrize(("peer", "strategy"), [(FirstFlip(GRID), RandomTruncation(GRID, 0)), (MIXING, PUBLISHED)])
def test_the_loops_of_the_authors_find_what_our_published_strategies_find(peer, strategy):
    theirs = searched(peer)
    ours = list(make_engine(case(), Workload("", strategy, "global", 10, CAP)).run(case().sources[:10]))
    assert sum(search.pair is not None for search in theirs) >= 3
    assert [search.queries for search in theirs] == [search.queries for search in ours]
    assert all(agree(a, b) for a, b in zip(theirs, ours, strict=True))


def test_smoo_breeds_whole_generations_and_finds_both_sides_of_the_boundary():
    found = searched(Smoo(10, 4), 6)
    pairs = [search.pair for search in found if search.pair]
    assert len(pairs) >= 3
    assert all(pair.first.flipped and not pair.last.flipped for pair in pairs)
    assert all(search.queries <= 2 + CAP for search in found)
    assert any(search.queries % 10 == 2 for search in found)  # the source and one partner


# ---- attacks on pixels


class LinearNetwork(nn.Module):
    def __init__(self, sut):
        super().__init__()
        self.sut = sut

    def forward(self, images):
        return self.sut.logits(images.flatten(1) - self.sut.offset)


@cache
def linear():
    generator = LinearGenerator()
    sut = LinearSUT(generator, sharpness=1.0)  # where it is surer, the cross entropy has no gradient left
    sut.network = LinearNetwork(sut)
    return generator, sut


def start_of(label, z_seed):
    generator, sut = linear()
    z = torch.from_numpy(np.random.RandomState(z_seed).randn(1, 6).astype(np.float32))
    image = quantize(generator.synthesize(generator.map(z, torch.tensor([label]))))
    return Evaluation(Proposal(1.0), label, image[0].numpy(), sut(to_unit(image))[0].numpy())


STARTS = [start for i in range(6) if not (start := start_of(i % 3, i)).flipped]


def solved(start, order):
    """Distance to the nearest boundary by L2 (order 2), or by L-infinity, whose dual is L1 (order 1)."""
    _, sut = linear()
    logits = sut.network(to_unit(torch.from_numpy(start.image))[None])[0]
    rivals = [c for c in range(3) if c != start.label]
    slope = {c: (sut.weight[:, start.label] - sut.weight[:, c]).norm(p=order) for c in rivals}
    return min(float((logits[start.label] - logits[c]) / slope[c]) for c in rivals)


def questions(start, cap):
    return Questions(Subject(SimpleNamespace(latent=print), linear()[1], cap), Source(start.label, 0))


def attacked(attack, start, cap):
    pytest.importorskip("foolbox", reason="attacks on pixels need the extra peers")
    ask = questions(start, cap)
    pairs = list(attack.search(start, ask))
    assert ask.queries <= cap
    return pairs, ask.queries


def test_hopskipjump_nears_the_solved_boundary_and_stays_behind_it():
    for start in STARTS[:2]:
        (few,), _ = attacked(HopSkipJump(away=True), start, 150)
        (many,), queries = attacked(HopSkipJump(away=True), start, 800)
        nearest = solved(start, 2)
        assert queries > 700
        assert few.first.flipped
        assert many.first.flipped
        assert nearest <= many.width < few.width
        assert many.width < 2 * nearest + 0.04 * 16  # rounding may add a level to each of 256 pixels


def test_projected_gradients_flip_where_the_ball_reaches_the_solved_boundary():
    for start in STARTS:
        nearest = solved(start, 1)
        (pair,), queries = attacked(ProjectedGradient(1.5 * nearest), start, 100)
        assert queries == 40 + 1  # gradients, and the image in 8 bits
        assert pair.first.flipped
        assert not attacked(ProjectedGradient(0.5 * nearest - 1 / 255), start, 100)[0]


def test_an_attack_that_runs_out_of_queries_has_found_nothing():
    with pytest.raises(BudgetSpentError):
        attacked(ProjectedGradient(0.1), STARTS[0], 30)


def test_rounding_leads_away_from_the_source_by_less_than_a_level():
    source = torch.randint(0, 256, (1, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0))
    image = torch.rand(1, 8, 8)
    rounded = away_from(source, image).float()
    moved, wanted = rounded - source, image * 255 - source
    assert ((moved.abs() - wanted.abs()) >= -2e-3).all()
    assert ((rounded - image * 255).abs() < 1).all()
    assert torch.equal(away_from(source, to_unit(source)), source)


def test_a_missing_extra_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "foolbox", None)
    with pytest.raises(LatregError, match=r"attacks on pixels need an extra: pip install -e '.\[peers\]'"):
        list(HopSkipJump(away=True).search(STARTS[0], questions(STARTS[0], 9)))


# ---- the table


def test_contenders_take_turns_and_each_source_counts_once():
    sources = [Source(label, 1) for label in range(6)]
    asked = {"one": [], "all": []}

    def contender(name, one_by_one):
        def run(given):
            asked[name].append(len(given))
            return [record(label=source.label, z_seed=source.z_seed, queries=10) for source in given]

        return Contender(name, one_by_one, run)

    arena = SimpleNamespace(sources=sources, first=Source(0, 9))
    ticks = iter(range(100))
    tallies = compete([contender("one", True), contender("all", False)], arena, 3, lambda: next(ticks))
    assert asked == {"one": [1, 2, 2, 2], "all": [1, 6, 6, 6]}
    assert [tally.queries for tally in tallies] == [60, 60]
    assert [tally.rate for tally in tallies] == [20, 60]


def test_the_table_counts_faults_per_query_and_per_second():
    rows = [record(label=label, z_seed=0, queries=50, flipped=label < 4, valid_fault=label < 2) for label in range(8)]
    tally = Tally("peer", startup=1.0)
    tally.add(rows, seconds=2.0)
    text = as_text([tally])
    assert tally.per_query("flipped", 1000)[0] == 10
    assert tally.per_query("valid_fault", tally.rate)[0] == 1
    low, high = tally.per_query("flipped", 1000)[1]
    assert low < 10 < high
    assert "4 2 0" in text
    assert "0 of 0" in text
