"""A network in the form that answers queries gives the same answers."""

import pytest
import torch
from torch import nn

from latreg.classifier.networks import NETWORKS, build
from latreg.classifier.optimized import WIDE, optimized
from latreg.compute.runtime import Graph
from latreg.compute.winograd import SameConvolution
from tests.helpers.same_bits import assert_same_alone


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [28, 32])
def test_the_answers_are_those_of_the_network(name, side):
    torch.manual_seed(0)
    network = build(name, 3, 10, {}).eval().requires_grad_(False)
    images = torch.rand(13, 3, side, side)
    fast = optimized(network)
    assert isinstance(fast, Graph) == (name not in ("airbench", "whitened_resnet"))
    torch.testing.assert_close(fast(images), network(images), atol=1e-4, rtol=1e-4)
    assert_same_alone(fast, images)
    assert not [module for module in fast.modules() if isinstance(module, nn.Conv2d)]


def wide(*layers):
    return nn.Sequential(nn.Conv2d(3, WIDE, 2), nn.Conv2d(WIDE, 16, 3, padding=1), *layers).eval().requires_grad_(False)


def test_plain_3x3_convolutions_of_wide_networks_are_winograds():
    network = wide(nn.Conv2d(16, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1))
    fast = optimized(network)
    assert [isinstance(fast[place]._convolve, SameConvolution) for place in (0, 1, 2, 4)] == [False, True, True, False]
    images = torch.rand(2, 3, 9, 9)
    torch.testing.assert_close(fast(images), network(images), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 16, 3, groups=2),
        nn.Conv2d(16, 6, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(16, 6, 3, padding=2, dilation=2),
        nn.Conv2d(16, 6, 3, padding="same"),
        nn.ConvTranspose2d(16, 6, 3, 2, output_padding=1),
    ],
)
def test_other_convolutions_make_a_graph(layer):
    network, images = wide(layer), torch.rand(3, 3, 9, 9)
    assert isinstance(optimized(network), Graph)
    torch.testing.assert_close(optimized(network)(images), network(images), atol=1e-5, rtol=1e-4)


def test_threads_change_no_bit_of_a_graph():
    network, images = build("resnet", 3, 10, {}).eval().requires_grad_(False), torch.rand(13, 3, 32, 32)
    threads = torch.get_num_threads()
    answers = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            answers.append(optimized(network)(images))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*answers)
