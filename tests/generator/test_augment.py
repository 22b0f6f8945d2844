"""Adaptive augmentation: the identity at p = 0, the paper's distributions at p, and p itself."""

import math

import pytest
import torch

from latreg.errors import LatregError
from latreg.generator.augment import (
    COLORS,
    GEOMETRY,
    GROUPS,
    AdaptiveAugment,
    Draw,
    recolor,
    scaling,
    transform_names,
    translation,
)

EVERYTHING = ("blit", "geom", "color")
MANY = 20_000


def augment(*transforms, p=1.0, resolution=16, target=0.6, images=100, interval=4):
    return AdaptiveAugment(transforms, resolution, p, target, images, interval)


@pytest.fixture
def draw():
    torch.manual_seed(0)
    return Draw(MANY, 32, torch.device("cpu"))


@pytest.fixture
def images():
    return torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_p_0_is_the_identity(images, channels):
    assert torch.equal(augment(*EVERYTHING, p=0.0)(images[:, :channels]), images[:, :channels])


@pytest.mark.parametrize("channels", [1, 3])
def test_everything_keeps_the_shape_and_stays_finite(images, channels):
    torch.manual_seed(0)
    result = augment(*EVERYTHING)(images[:, :channels])
    assert result.shape == (64, channels, 16, 16)
    assert result.isfinite().all()
    assert not torch.equal(result, images[:, :channels])


@pytest.mark.parametrize("name", [name for group in GROUPS.values() for name in group])
@pytest.mark.parametrize("p", [0.2, 0.7])
def test_each_transform_strikes_with_probability_p(name, p):
    torch.manual_seed(0)
    images = torch.rand(3000, 3, 8, 8) * 2 - 1
    changed = (augment(name, p=p, resolution=8)(images) != images).flatten(1).any(1).float().mean().item()
    share = {"x_flip": 1 / 2, "rotate90": 3 / 4, "luma_flip": 1 / 2, "integer_translation": 3 / 4}.get(name, 1)
    assert changed == pytest.approx(p * share, abs=0.04)


def test_blitting_moves_whole_pixels(images):
    torch.manual_seed(0)
    result = augment("rotate90", "x_flip")(images)
    variants = [v.rot90(k, (2, 3)) for v in (images, images.flip(3)) for k in range(4)]
    distance = torch.stack([(result - v).flatten(1).abs().amax(1) for v in variants])
    assert distance.amin(0).max() < 1e-4
    assert len(set(distance.argmin(0).tolist())) == 8


def test_integer_translations_reach_an_eighth(draw):
    x = dict(GEOMETRY)["integer_translation"](draw)[:, 0, 2] * 16
    assert set(x.round().int().tolist()) == set(range(-4, 5))
    torch.testing.assert_close(x, x.round())


def test_geometry_has_the_published_distributions(draw):
    matrices = {name: step(draw) for name, step in GEOMETRY}
    isotropic, anisotropic = matrices["isotropic_scale"], matrices["anisotropic_scale"]
    assert isotropic[:, 0, 0].log2().std().item() == pytest.approx(0.2, rel=0.03)
    assert torch.equal(isotropic[:, 0, 0], isotropic[:, 1, 1])
    assert anisotropic[:, 0, 0].log2().std().item() == pytest.approx(0.2, rel=0.03)
    torch.testing.assert_close(anisotropic[:, 0, 0] * anisotropic[:, 1, 1], torch.ones(MANY))
    shift = matrices["fractional_translation"][:, :2, 2] / 2
    assert shift.std(0).tolist() == pytest.approx([0.125, 0.125], rel=0.03)
    angle = torch.atan2(matrices["rotation"][:, 1, 0], matrices["rotation"][:, 0, 0])
    assert angle.std().item() == pytest.approx(2 * math.pi / math.sqrt(12), rel=0.03)
    torch.testing.assert_close(torch.linalg.det(matrices["rotation"]), torch.ones(MANY))


def test_colours_have_the_published_distributions(draw):
    matrices = {name: step(draw) for name, step in COLORS}
    assert matrices["brightness"][:, 0, 3].std().item() == pytest.approx(0.2, rel=0.03)
    assert matrices["contrast"][:, 0, 0].log2().std().item() == pytest.approx(0.5, rel=0.03)
    gray = torch.tensor([1.0, 1.0, 1.0, 0.0])
    for name in ("hue", "saturation"):
        torch.testing.assert_close(matrices[name] @ gray, gray.expand(MANY, 4))
    flipped = (matrices["luma_flip"] @ gray)[:, 0]
    torch.testing.assert_close(flipped.abs(), torch.ones(MANY))
    assert flipped.mean().item() == pytest.approx(0, abs=0.03)
    torch.testing.assert_close(torch.linalg.det(matrices["hue"]), torch.ones(MANY))
    color = torch.tensor([1.0, -1.0, 0.0, 0.0])  # as far from gray as saturation says
    distance = (matrices["saturation"] @ color).norm(dim=1) / math.sqrt(2)
    assert distance.log2().std().item() == pytest.approx(1.0, rel=0.03)


def test_gray_images_are_colour_images_with_equal_channels(draw):
    gray = torch.rand(MANY, 1, 1, 2) * 2 - 1
    matrix = torch.eye(4)
    for _, step in COLORS:
        matrix = step(draw) @ matrix
    colored = recolor(gray.expand(-1, 3, -1, -1), matrix)
    torch.testing.assert_close(recolor(gray, matrix), colored.mean(1, keepdim=True), atol=1e-4, rtol=1e-4)


def test_transforms_are_applied_in_order():
    """Shift by an eighth to the right, then scale by 2: the middle of the image ends a quarter off the middle."""
    module = augment()
    shift, twice = torch.tensor([0.125]), torch.tensor([2.0])
    steps = [("a", lambda _: translation(shift, 0 * shift)), ("b", lambda _: scaling(twice, twice))]
    matrix = module._compose(steps, Draw(1, 16, torch.device("cpu")), size=3, inverse=True)
    middle = torch.linalg.inv(matrix) @ torch.tensor([0.0, 0.0, 1.0])
    torch.testing.assert_close(middle[0, :2], torch.tensor([0.5, 0.0]))  # half of half the width


@pytest.mark.parametrize("channels", [1, 3])
def test_r1_reaches_through(channels):
    """The gradient penalty has a gradient itself, as finite differences say."""
    weight = torch.randn(channels, 8, 8, dtype=torch.float64, requires_grad=True)
    module = augment(*EVERYTHING, resolution=8).double()
    images = torch.randn(4, channels, 8, 8, dtype=torch.float64)

    def penalty(weight):
        torch.manual_seed(3)
        x = images.clone().requires_grad_(True)
        logits = (module(x) * weight).sum(dim=(1, 2, 3)).tanh()
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        return gradient.square().sum()

    assert torch.autograd.gradcheck(penalty, (weight,))


@pytest.mark.parametrize(("sign", "expected"), [(1.0, 0.8), (0.6, 0.4), (0.0, 0.0)])
def test_p_moves_towards_the_target(sign, expected):
    module = augment("blit", p=0.4)
    for step in range(1, 6):
        module.observe(torch.tensor(sign), step, images_per_step=10)
    assert module.p.item() == pytest.approx(expected)


@pytest.mark.parametrize(("sign", "limit"), [(1.0, 1.0), (-1.0, 0.0)])
def test_p_stays_a_probability(sign, limit):
    module = augment("blit", p=0.5)
    for step in range(1, 100):
        module.observe(torch.tensor(sign), step, images_per_step=10)
        assert 0 <= module.p <= 1
    assert module.p.item() == limit


def test_without_a_target_p_stays():
    module = augment("blit", p=0.5, target=None)
    for step in range(1, 20):
        module.observe(torch.tensor(1.0), step, images_per_step=10)
    assert module.p.item() == 0.5


def test_groups_are_short_for_their_transforms():
    assert transform_names(["blit", "hue"]) == {"x_flip", "rotate90", "integer_translation", "hue"}


def test_an_unknown_transform_is_refused():
    with pytest.raises(LatregError, match=r"augment must list some of .*blit.* got 'flip'"):
        transform_names(["flip"])
