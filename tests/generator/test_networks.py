"""The networks are numerically the published ones: the reference holds weights of a small generator and its images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from latreg.generator.networks import Discriminator, GeneratorNetwork
from latreg.interfaces import Proposal
from latreg.search.latent import layer_alphas, mix, truncate

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "stylegan2_ada_reference.npz") as arrays:
        return {name: torch.from_numpy(a) if a.dtype.kind != "U" else json.loads(str(a)) for name, a in arrays.items()}


@pytest.fixture(scope="module")
def network(reference):
    published = reference["json/init_kwargs"]
    network = GeneratorNetwork(
        **{name: published[name] for name in ("z_dim", "w_dim", "c_dim", "img_resolution", "img_channels")},
        channel_base=published["synthesis_kwargs"]["channel_base"],
        channel_max=published["synthesis_kwargs"]["channel_max"],
        mapping_layers=published["mapping_kwargs"]["num_layers"],
    )
    prefix = "weights/"
    state = {name.removeprefix(prefix): value for name, value in reference.items() if name.startswith(prefix)}
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["mapping.w_avg_class"], [])
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def w(network, reference):
    c = F.one_hot(reference["label"], 10).float()
    return network.mapping(reference["z"], c)[:, None].expand(-1, network.num_ws, -1)


def assert_close(actual, expected):
    assert (actual - expected).abs().max() < TOLERANCE


def cases(reference, keys):
    return [case for case in reference["json/cases"] if keys <= case.keys()]


def test_every_truncation_agrees(network, w, reference):
    truncations = cases(reference, {"psi", "cutoff"})
    assert len(truncations) == 6
    for i, case in enumerate(truncations):
        center = network.mapping.w_avg.expand(len(w), -1)
        truncated = truncate(w, center, torch.full((len(w),), float(case["psi"])), case["cutoff"])
        assert_close(truncated, reference[f"case{i}/w"])
        assert_close(network.synthesis(truncated), reference[f"case{i}/image"])


def test_every_mixture_agrees(network, w, reference):
    mixtures = cases(reference, {"layers"})
    assert len(mixtures) == 3
    for i, case in enumerate(mixtures):
        mixture = Proposal(1.0, layers=tuple(case["layers"]), alpha=case["alpha"])
        mixed = mix(w, w.flip(0), layer_alphas([mixture] * len(w), network.num_ws))
        assert_close(network.synthesis(mixed), reference[f"mix{i}/image"])


def test_without_noise_agrees(network, w, reference):
    assert_close(network.synthesis(w, "none"), reference["nonoise/image"])


def test_constant_noise_is_constant_and_random_noise_is_not(network, w):
    assert torch.equal(network.synthesis(w), network.synthesis(w))
    assert not torch.equal(network.synthesis(w, "random"), network.synthesis(w, "random"))


def test_an_image_does_not_depend_on_its_batch(network, w):
    assert_close(network.synthesis(w[:1]), network.synthesis(w)[:1])


@pytest.mark.parametrize("resolution", [8, 32, 64])
@pytest.mark.parametrize("c_dim", [0, 3])
@pytest.mark.parametrize("residual", [False, True])
def test_shapes(resolution, c_dim, residual):
    g = GeneratorNetwork(6, 5, c_dim, resolution, 3, channel_base=64, channel_max=8, mapping_layers=2)
    d = Discriminator(c_dim, resolution, 3, channel_base=64, channel_max=8, residual=residual, mapping_layers=1)
    c = F.one_hot(torch.tensor([0, 1, 2, 0]), c_dim).float() if c_dim else None
    images = g(torch.randn(4, 6), c)
    assert images.shape == (4, 3, resolution, resolution)
    assert g.num_ws == 2 * (resolution.bit_length() - 2)
    assert d(images, c).shape == (4, 1)


def test_a_resolution_that_is_no_power_of_two_is_refused():
    with pytest.raises(ValueError, match="power of two of at least 8, got 28"):
        GeneratorNetwork(6, 5, 3, 28, 1, 64, 8, 2)
