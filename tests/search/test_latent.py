import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latreg.interfaces import Latent, Proposal
from latreg.search.latent import layer_alphas, mix, truncate
from latreg.search.renderer import latent_z

N, L, D = 5, 8, 6


@pytest.fixture
def latents():
    rng = torch.Generator().manual_seed(1)
    return torch.randn(3, N, L, D, generator=rng)


def psi(value: float) -> torch.Tensor:
    return torch.full((N,), value)


def test_psi_1_changes_nothing(latents):
    w, center, _ = latents
    assert torch.equal(truncate(w, center[:, 0], psi(1.0), None), w)


def test_psi_0_gives_the_center_on_every_layer(latents):
    w, center, _ = latents
    assert torch.equal(truncate(w, center[:, 0], psi(0.0), None), center[:, :1].expand(-1, L, -1))


def test_cutoff_0_truncates_nothing_and_none_truncates_all(latents):
    w, center, _ = latents
    assert torch.equal(truncate(w, center[:, 0], psi(0.3), 0), w)
    assert torch.equal(truncate(w, center[:, 0], psi(0.3), None), truncate(w, center[:, 0], psi(0.3), L))


def test_cutoff_leaves_the_layers_from_it_on(latents):
    w, center, _ = latents
    truncated = truncate(w, center[:, 0], psi(0.3), 3)
    assert torch.equal(truncated[:, 3:], w[:, 3:])
    assert not torch.isclose(truncated[:, :3], w[:, :3]).all(dim=2).any()


@given(value=st.floats(0, 2, width=32))
@settings(max_examples=30, deadline=None)
def test_truncation_scales_the_distance_to_the_center(value):
    w, center = torch.randn(2, N, L, D, generator=torch.Generator().manual_seed(2))
    distance = truncate(w, center[:, 0], psi(value), None) - center[:, :1]
    torch.testing.assert_close(distance, value * (w - center[:, :1]), atol=1e-5, rtol=1e-4)


def mixing(layers, alpha: float) -> torch.Tensor:
    return layer_alphas([Proposal(1.0, 7, 1, tuple(layers), alpha)] * N, L)


@pytest.mark.parametrize(("alpha", "end"), [(0.0, 0), (1.0, 1)])
def test_alpha_0_and_1_are_the_ends(latents, alpha, end):
    assert torch.equal(mix(latents[0], latents[1], mixing(range(L), alpha)), latents[end])


def test_mixing_no_layers_changes_nothing(latents):
    assert torch.equal(mix(latents[0], latents[1], mixing((), 0.7)), latents[0])


def test_mixing_touches_only_its_layers(latents):
    mixed = mix(latents[0], latents[1], mixing((5, 6), 0.5))
    changed = (mixed != latents[0]).any(dim=2).all(dim=0)
    assert changed.nonzero().flatten().tolist() == [5, 6]


def test_alphas_stand_on_the_layers_of_a_set_or_are_those_of_the_latent():
    sets = [Proposal(1.0, 7, 1, layers, 0.5) for layers in ((2, 0), (1, 2), ())]
    own = Proposal(1.0, 7, 1, latent=Latent("alphas", (0.25, 0.0, 1.0, 0.5)))
    expected = [[0.5, 0.0, 0.5, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0] * 4, list(own.latent.values)]
    assert layer_alphas([*sets, own], 4).tolist() == expected


@pytest.mark.parametrize("seed", [0, 7, 2**24 + 3, 2**32 - 1])
def test_z_of_a_seed_is_nvidias_whatever_was_drawn_before(seed):
    latent_z(123, 5)
    expected = np.random.RandomState(seed).randn(1, 128)[0].astype(np.float32)
    np.testing.assert_array_equal(latent_z(seed, 128), expected)
