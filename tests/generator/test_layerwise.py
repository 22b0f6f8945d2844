"""Layer by layer gives the images of the network, whose agreement with the published one test_networks.py checks."""

import pytest
import torch

from latreg.generator import layerwise
from latreg.generator.layers import binomial_filter, upsample2x
from latreg.generator.layerwise import LayerwiseSynthesis, _Doubling
from latreg.generator.networks import SynthesisNetwork

TOLERANCE = {"atol": 1e-5, "rtol": 1e-4}


def make_network(resolution=32, channels=3, width=16, clamp=None):
    torch.manual_seed(0)
    network = SynthesisNetwork(5, resolution, channels, resolution * width, 4 * width, clamp)
    for name, parameter in network.named_parameters():
        if "bias" in name or "strength" in name:  # which start at 0
            torch.nn.init.normal_(parameter)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("arguments", [{}, {"resolution": 8, "channels": 1}, {"clamp": 0.5}, {"width": 64}])
def test_images_are_those_of_the_network(arguments):
    """A clamp of 0.5 bites."""
    network = make_network(**arguments)
    ws = torch.randn(3, network.num_ws, 5)
    torch.testing.assert_close(LayerwiseSynthesis(network)(ws), network(ws) * 0.5 + 0.5, **TOLERANCE)


def test_the_convolutions_for_other_devices(monkeypatch):
    network = make_network()
    ws = torch.randn(3, network.num_ws, 5)
    fast = LayerwiseSynthesis(network)(ws)
    monkeypatch.setattr(layerwise, "_fast_convolution", layerwise._convolution)
    images = LayerwiseSynthesis(network)(ws)
    torch.testing.assert_close(images, fast, **TOLERANCE)
    assert not torch.equal(images, fast)


def copies(state):
    """Responding uses a state up."""
    return tuple(tensor.clone() for tensor in state)


def test_responses_are_affine_in_w():
    network = make_network(clamp=0.5)
    synthesis = LayerwiseSynthesis(network)
    w = torch.randn(2, 3, 5)
    state = ()
    for layer in range(network.num_ws):
        ends = [synthesis.respond(layer, copies(state), w[i]) for i in range(2)]
        middle = synthesis.respond(layer, copies(state), w[0].lerp(w[1], 0.3))
        for a, b, response in zip(*ends, middle, strict=True):
            torch.testing.assert_close(response, a.lerp(b, 0.3), atol=5e-6 * float(response.abs().max()), rtol=0)
        state = synthesis.advance(layer, ends[0])
    assert len(state) == 1


def test_it_tells_the_sizes_of_its_feature_maps():
    network = make_network(resolution=8, width=16)
    assert LayerwiseSynthesis(network).map_sizes == [32 * 4 * 4, 16 * 8 * 8, 16 * 8 * 8]


def test_doubling_is_upsampling():
    image = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(_Doubling(binomial_filter(), 6)(image), upsample2x(image, binomial_filter()))
