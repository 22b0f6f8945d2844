"""The naive loop of `make bench` and the engine find the same, on networks small enough for every test run."""

import time

import torch

from benchmarks.cases import Case, accepted_sources, even_out, render
from benchmarks.contest import Workload, contest
from latreg.classifier.networks import build
from latreg.classifier.sut import TorchSUT
from latreg.generator.networks import GeneratorNetwork
from latreg.generator.pretrained import StyleGAN2
from latreg.interfaces import Source
from latreg.search.mixing import Mixing

CLASSES = 3


def make_case() -> Case:
    torch.manual_seed(0)
    network = GeneratorNetwork(6, 5, CLASSES, 16, 1, channel_base=128, channel_max=16, mapping_layers=2)
    generator = StyleGAN2(network, id="random")
    classifier = build("resnet", 1, CLASSES, {"widths": [8, 8]}).eval()
    even_out(classifier, render(generator, [Source(i % CLASSES, i) for i in range(64)]))
    sut = TorchSUT(classifier, "random", torch.device("cpu"), {})
    return Case("toy", generator, sut, accepted_sources(generator, sut))


def test_both_find_the_same() -> None:
    strategy = Mixing([[5], [4], [2, 3, 4, 5]], 10, 1, targeted=False, bisection_steps=10, until="screened", run_seed=0)
    row = contest(make_case(), Workload("mixing", strategy, "class", sources=6, max_queries=30), time.process_time)
    assert row["agree"]
    assert row["disagreements"] == 0
    assert row["flips"] > 0
    assert row["ratio"] > 0
