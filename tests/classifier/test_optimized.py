"""A network in the form that answers queries gives the same answers."""

import pytest
import torch
from torch import nn

from latreg.classifier.networks import NETWORKS, build
from latreg.classifier.optimized import optimized
from latreg.compute.winograd import SameConvolution


def convolutions(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [28, 32])
def test_the_answers_are_those_of_the_network(name, side):
    torch.manual_seed(0)
    network = build(name, 3, 10, {}).eval().requires_grad_(False)
    images = torch.rand(4, 3, side, side)
    fast = optimized(network)
    torch.testing.assert_close(fast(images), network(images), atol=1e-4, rtol=1e-4)
    assert not convolutions(fast)


def test_plain_3x3_convolutions_are_winograds():
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1, stride=2), nn.Conv2d(16, 16, 1)]
    network = nn.Sequential(*layers, nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16)).eval().requires_grad_(False)
    fast = optimized(network)
    assert [isinstance(fast[place]._convolve, SameConvolution) for place in range(4)] == [False, False, False, True]
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(fast(images), network(images), atol=1e-5, rtol=1e-4)
    assert len(convolutions(network)) == 4
    assert not convolutions(fast)
