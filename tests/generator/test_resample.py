"""The resampling of augmentation: exact where it can be, and differentiable twice."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from latreg.generator.augment import rotation, scaling, translation
from latreg.generator.resample import AffineWarp, doubling_matrix, mirror, sample

ONE = torch.ones(4)
ZERO = torch.zeros(4)


@pytest.fixture
def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def rolled(x, shift):
    """Shifted to the right, with a mirror at the left edge."""
    return torch.cat([x[..., :shift].flip(-1), x[..., :-shift]], dim=-1)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (scaling(ONE, ONE), lambda x: x),
        (scaling(-ONE, ONE), lambda x: x.flip(-1)),
        (rotation(ONE * math.pi / 2), lambda x: x.rot90(-1, (2, 3))),
        (rotation(ONE * math.pi), lambda x: x.rot90(2, (2, 3))),
        (translation(ONE * 3 / 32, ZERO), lambda x: rolled(x, 3)),
        (translation(ZERO, ONE * 2 / 32), lambda x: rolled(x.mT, 2).mT),
    ],
)
def test_what_maps_pixels_to_pixels_is_exact(images, matrix, expected):
    torch.testing.assert_close(AffineWarp(32)(images, matrix), expected(images), atol=5e-5, rtol=0)


def test_a_smooth_image_is_scaled_as_a_function_is():
    place = (torch.arange(32) + 0.5) / 16 - 1
    smooth = torch.cos(math.pi * place / 2)[None, None, None].expand(1, 1, 32, 32)
    scaled = AffineWarp(32)(smooth, scaling(torch.tensor([1.3]), torch.tensor([1.0])))
    expected = torch.cos(math.pi * place / 2.6)
    torch.testing.assert_close(scaled[0, 0, 16], expected, atol=5e-3, rtol=0)


def test_shrinking_does_not_alias():
    checkerboard = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1
    half = AffineWarp(32)(checkerboard[None, None], scaling(torch.tensor([0.6]), torch.tensor([0.6])))
    assert half.abs().mean() < 0.3


def test_doubling_is_symmetric_and_all_but_orthogonal():
    up = doubling_matrix(16)
    torch.testing.assert_close(up.flip(0, 1), up)
    torch.testing.assert_close(up.t() @ up / 2, torch.eye(16, dtype=torch.float64), atol=0.03, rtol=0)


def test_mirror_repeats_the_border_pixel():
    assert [mirror(i, 3) for i in range(-4, 8)] == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]


def test_sampling_is_differentiable_twice():
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64, generator=rng, requires_grad=True)
    grid = torch.rand(2, 3, 5, 2, dtype=torch.float64, generator=rng) * 3 - 1.5
    assert gradcheck(lambda x: sample(x, grid), (x,))
    assert gradgradcheck(lambda x: sample(x, grid).tanh(), (x,))
