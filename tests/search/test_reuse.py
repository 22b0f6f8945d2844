"""Reuse saves work and changes no image, whatever was rendered before, beside it, or forgotten."""

import random
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latreg.generator.networks import GeneratorNetwork
from latreg.generator.pretrained import StyleGAN2
from latreg.interfaces import Proposal, Source
from latreg.search.criteria import BaselineGate
from latreg.search.engine import Engine, Limits
from latreg.search.mixing import Mixing
from latreg.search.recipes import Request, cut, prefix
from latreg.search.renderer import Renderer
from latreg.search.reuse import LayerwiseGenerator, Memory, ReusingSynthesis
from latreg.search.truncation import Fixed
from tests.helpers.toys import LinearGenerator, ScriptedAppraiser

LAYER_SETS = ((5,), (4,), (3,), (2,), (3, 4), (1, 2), (1, 2, 3, 4), (0, 1, 2, 3, 4, 5))
CLOSE = {"atol": 2e-5, "rtol": 0}
PLENTY = 2**24


def make_generator():
    torch.manual_seed(0)
    network = GeneratorNetwork(6, 5, 3, 16, 1, channel_base=128, channel_max=16, mapping_layers=2)
    for name, parameter in network.named_parameters():
        if "noise_strength" in name:
            torch.nn.init.constant_(parameter, 0.1)
    network.mapping.w_avg_class.copy_(torch.randn(3, 5))
    return StyleGAN2(network, id="random")


GENERATOR = make_generator()


class CountingGenerator:
    """Counts the images for which each layer is convolved."""

    def __init__(self, generator):
        self.__dict__.update(vars(generator))
        self.generator = generator
        self.convolved = Counter()

    def map(self, z, c):
        return self.generator.map(z, c)

    def respond(self, layer, state, w):
        self.convolved[layer] += len(w)
        return self.generator.respond(layer, state, w)

    def advance(self, layer, response):
        return self.generator.advance(layer, response)

    def synthesize(self, w):
        raise AssertionError("expected to be run layer by layer")


def mixture(z_seed, layers, alpha, partner=100, psi=0.8):
    return Request(Source(z_seed % 3, z_seed), Proposal(psi, partner, (z_seed + 1) % 3, layers, alpha))


def reusing(generator=GENERATOR, chunk=4, capacity=PLENTY, layer_sets=LAYER_SETS):
    compose = Renderer(generator, "class", None, 1).compose
    return ReusingSynthesis(generator, compose, chunk, Memory(capacity), layer_sets)


def images(synthesis, requests):
    found = {place: image for places, batch in synthesis(requests) for place, image in zip(places, batch, strict=True)}
    return torch.stack([found[place] for place in range(len(requests))])


def plain(requests):
    return GENERATOR.synthesize(Renderer(GENERATOR, "class", None, 1).compose(requests))


requests_of_all_kinds = st.lists(
    st.one_of(
        st.builds(lambda seed, psi: Request(Source(seed % 3, seed), Proposal(psi)), st.integers(0, 3), st.just(0.8)),
        st.builds(
            mixture,
            st.integers(0, 3),
            st.sampled_from([*LAYER_SETS, (4, 3), (1, 4)]),
            st.sampled_from([0.0, 0.25, 0.7, 1.0]),
            st.integers(100, 101),
            st.sampled_from([0.5, 0.8]),
        ),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(requests_of_all_kinds, min_size=1, max_size=3),
    st.sampled_from([1, 3, 64]),
    st.sampled_from([0, 20_000, PLENTY]),
)
def test_images_do_not_depend_on_the_past_the_company_or_the_memory(rounds, chunk, capacity):
    synthesis = reusing(chunk=chunk, capacity=capacity)
    for requests in rounds:
        found = images(synthesis, requests)
        torch.testing.assert_close(found, plain(requests), **CLOSE)
        assert synthesis.memory.size <= capacity
    assert torch.equal(found, torch.cat([images(reusing(), [request]) for request in requests]))


class TestWork:
    def work(self, rounds, layer_sets=LAYER_SETS):
        """Images convolved per layer in each round, by one synthesis."""
        generator = CountingGenerator(GENERATOR)
        synthesis = reusing(generator, layer_sets=layer_sets)
        work = []
        for requests in rounds:
            generator.convolved.clear()
            images(synthesis, requests)
            work.append(dict(generator.convolved))
        return work

    def test_layers_below_the_first_mixed_one_are_run_once_for_a_source(self):
        first, second, third = self.work([[mixture(0, (4,), 1.0, partner)] for partner in (100, 101, 102)])
        assert first == dict.fromkeys(range(6), 1)
        assert second == third == {4: 1, 5: 1}

    def test_so_they_are_for_several_requests_of_one_source(self):
        (work,) = self.work([[mixture(0, (4,), 1.0, partner) for partner in range(100, 104)]])
        assert work == {**dict.fromkeys(range(4), 1), 4: 4, 5: 4}

    def test_a_bisection_convolves_its_first_layer_twice_and_the_last_ones_each_time(self):
        first, *others = self.work([[mixture(0, (3,), alpha)] for alpha in (0.5, 0.25, 0.125)])
        assert first == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1}
        assert others == [{4: 1, 5: 1}] * 2

    def test_a_bisection_of_the_last_layer_costs_nothing(self):
        assert self.work([[mixture(0, (5,), alpha)] for alpha in (0.5, 0.25)])[1] == {}

    def test_a_larger_set_of_layers_goes_on_from_a_smaller_one(self):
        work = self.work([[mixture(0, s, 1.0)] for s in ((3,), (3, 4), (1,), (1, 4))], [(3,), (3, 4), (1, 4)])
        assert work[1] == work[3] == {4: 1, 5: 1}

    def test_a_mixture_goes_on_from_the_image_of_its_source(self):
        rounds = [[Request(Source(0, 0), Proposal(0.8))], [mixture(0, (4,), 1.0)]]
        assert self.work(rounds) == [dict.fromkeys(range(6), 1), {4: 1, 5: 1}]
        assert self.work(rounds, layer_sets=()) == [dict.fromkeys(range(6), 1)] * 2

    def test_different_psi_share_nothing(self):
        assert self.work([[mixture(0, (4,), 1.0, psi=psi)] for psi in (0.5, 0.6)])[1] == dict.fromkeys(range(6), 1)


class TestMemory:
    def test_what_was_not_asked_for_longest_is_forgotten(self):
        memory = Memory(capacity=3 * 40)
        for i in range(3):
            memory.put(("state", (i,)), (torch.full((10,), float(i)),))
        assert memory.get(("state", (0,)))[0][0] == 0
        memory.put(("state", (3,)), (torch.zeros(10),))
        assert [("state", (i,)) in memory for i in range(4)] == [True, False, True, True]
        assert memory.size == 120

    def test_it_keeps_no_batch_alive(self):
        memory, batch = Memory(2**20), torch.zeros(100, 10)
        memory.put(("state", (0,)), (batch[0],))
        assert memory.get(("state", (0,)))[0].untyped_storage().nbytes() == 40


@pytest.mark.parametrize(("layers", "layer", "same"), [((3,), 3, True), ((3,), 4, False), ((1, 4), 2, False)])
def test_requests_share_what_lies_below_their_difference(layers, layer, same):
    a, b = mixture(0, layers, 1.0, 100), mixture(0, layers, 1.0, 101)
    assert (prefix(a, layer) == prefix(b, layer)) is same
    assert prefix(cut(a, layer), 6) == prefix(replace(a, proposal=cut(a, layer).proposal), 6)


def test_generators_in_one_piece_are_rendered_too():
    assert isinstance(GENERATOR, LayerwiseGenerator)
    assert not isinstance(LinearGenerator(), LayerwiseGenerator)
    assert Renderer(LinearGenerator(), "class", None, 2).render([mixture(i, (3,), 0.5) for i in range(3)]).shape[0] == 3


class PixelSUT:
    """Three random templates, compared with the image."""

    id, num_classes = "pixels", 3

    def __init__(self):
        rng = torch.Generator().manual_seed(1)
        self.templates = torch.randn(3, 256, generator=rng)

    def __call__(self, images):
        return ((images.flatten(1) - 0.5) @ self.templates.t()).softmax(dim=1)


class ForgetfulRenderer(Renderer):
    """Starts each time from nothing, as a resumed run does."""

    def render(self, requests):
        self._reuse.memory = Memory(PLENTY)
        return super().render(requests)


def search(renderer_class=Renderer, chunk=16, concurrency=200, shuffled=False):
    """What a search of mixtures finds per source."""
    strategy = Mixing(LAYER_SETS, 3, 2, True, 10, "screened", run_seed=0)
    engine = Engine(
        renderer_class(GENERATOR, "class", None, chunk),
        PixelSUT(),
        ScriptedAppraiser(screened=False),
        Fixed(0.9),
        BaselineGate(),
        strategy,
        Limits(max_queries_per_source=150, concurrency=concurrency),
    )
    sources = [Source(label, z_seed) for z_seed in range(12) for label in range(3)]
    if shuffled:
        random.Random(0).shuffle(sources)
    return {s.source: (s.rejected_because, s.queries, s.pair) for s in engine.run(sources)}


@pytest.mark.parametrize(
    "execution",
    [{"chunk": 1, "concurrency": 3}, {"chunk": 64}, {"renderer_class": ForgetfulRenderer}, {"shuffled": True}],
)
def test_a_search_finds_the_same_however_it_is_executed(execution):
    reference, other = search(), search(**execution)
    assert sum(pair is not None for _, _, pair in reference.values()) >= 5
    for source, (rejected, queries, pair) in reference.items():
        assert other[source][:2] == (rejected, queries)
        assert (other[source][2] is None) == (pair is None)
        if pair is not None:
            p, q = pair.first.proposal, other[source][2].first.proposal
            assert replace(q, alpha=p.alpha) == p
            assert abs(q.alpha - p.alpha) <= 2**-9
