"""A benchmark's case that is small enough for every test run."""

import torch

from benchmarks.cases import Case, accepted_sources, even_out, render
from latreg.classifier.networks import build
from latreg.classifier.sut import TorchSUT
from latreg.generator.networks import GeneratorNetwork
from latreg.generator.pretrained import StyleGAN2
from latreg.interfaces import Source

CLASSES = 3


def make_case() -> Case:
    torch.manual_seed(0)
    network = GeneratorNetwork(6, 5, CLASSES, 16, 1, channel_base=128, channel_max=16, mapping_layers=2)
    generator = StyleGAN2(network, id="random")
    classifier = build("resnet", 1, CLASSES, {"widths": [8, 8]}).eval()
    even_out(classifier, render(generator, [Source(i % CLASSES, i) for i in range(64)]))
    sut = TorchSUT(classifier, "random", torch.device("cpu"), {})
    return Case("toy", generator, sut, accepted_sources(generator, sut))
