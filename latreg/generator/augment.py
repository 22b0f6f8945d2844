"""Adaptive discriminator augmentation (ADA; Karras et al., arXiv 2006.06676, appendix B).

What D sees, real or not, is transformed at random; each transform strikes an image with probability p. As long as p
stays below about 0.8, G learns the distribution before the transforms. p follows how sure D is of real images.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latreg.errors import LatregError
from latreg.generator.resample import AffineWarp


@dataclass(frozen=True)
class Draw:
    """Random parameters for a batch, one per image."""

    n: int
    resolution: int
    device: torch.device

    def uniform(self, low: float, high: float) -> Tensor:
        """(N,) from [low, high)."""
        return torch.rand(self.n, device=self.device) * (high - low) + low

    def normal(self, std: float) -> Tensor:
        """(N,) around 0."""
        return torch.randn(self.n, device=self.device) * std

    def choice(self, count: int) -> Tensor:
        """(N,) of 0 .. count - 1."""
        return torch.randint(count, (self.n,), device=self.device).float()


Matrices = Callable[[Draw], Tensor]


def _rows(rows: Sequence[Sequence[Tensor | float]], like: Tensor) -> Tensor:
    """Matrices (N, R, R) from entries that are (N,) or the same for all."""
    entries = [torch.as_tensor(entry, device=like.device, dtype=like.dtype) for row in rows for entry in row]
    return torch.stack([entry.expand_as(like) for entry in entries], dim=-1).reshape(-1, len(rows), len(rows[0]))


# Geometry: 3x3 matrices from places in the result to places in the image, [-1, 1] across: the inverse transforms.


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Stretch by x and y (N,)."""
    return _rows([[1 / x, 0, 0], [0, 1 / y, 0], [0, 0, 1]], x)


def rotation(angle: Tensor) -> Tensor:
    """Turn by an angle (N,) in radians, from the x axis to the y axis, which points down."""
    cos, sin = angle.cos(), angle.sin()
    return _rows([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], angle)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Shift by shares x and y (N,) of the width and height."""
    return _rows([[1, 0, -2 * x], [0, 1, -2 * y], [0, 0, 1]], x)


def x_flip(draw: Draw) -> Tensor:
    """Left and right change places, or not."""
    sign = 1 - 2 * draw.choice(2)
    return scaling(sign, torch.ones_like(sign))


def rotate90(draw: Draw) -> Tensor:
    """0 to 3 quarter turns."""
    return rotation(draw.choice(4) * (math.pi / 2))


def integer_translation(draw: Draw) -> Tensor:
    """Whole pixels, up to an eighth of the image each way."""
    x, y = (draw.uniform(-0.125, 0.125).mul(draw.resolution).round() / draw.resolution for _ in range(2))
    return translation(x, y)


def isotropic_scale(draw: Draw) -> Tensor:
    """By 2 to the power of N(0, 0.2)."""
    scale = draw.normal(0.2).exp2()
    return scaling(scale, scale)


def any_rotation(draw: Draw) -> Tensor:
    """By any angle."""
    return rotation(draw.uniform(-math.pi, math.pi))


def anisotropic_scale(draw: Draw) -> Tensor:
    """Stretch x and shrink y by 2 to the power of N(0, 0.2)."""
    scale = draw.normal(0.2).exp2()
    return scaling(scale, 1 / scale)


def fractional_translation(draw: Draw) -> Tensor:
    """By N(0, 0.125) of the image each way."""
    return translation(draw.normal(0.125), draw.normal(0.125))


# Colour: 4x4 matrices on (red, green, blue, 1).


def _luma(like: Tensor) -> tuple[Tensor, Tensor]:
    """The projection onto the gray axis (4, 4), and the identity but for the last entry."""
    gray = torch.tensor([1.0, 1.0, 1.0, 0.0], device=like.device) / math.sqrt(3)
    return torch.outer(gray, gray), torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0], device=like.device))


def _homogeneous(colors: Tensor) -> Tensor:
    """(N, 4, 4) with a last entry of 0 => of 1."""
    return colors + torch.diag(torch.tensor([0.0, 0.0, 0.0, 1.0], device=colors.device))


def brightness(draw: Draw) -> Tensor:
    """Add N(0, 0.2)."""
    b = draw.normal(0.2)
    return _rows([[1, 0, 0, b], [0, 1, 0, b], [0, 0, 1, b], [0, 0, 0, 1]], b)


def contrast(draw: Draw) -> Tensor:
    """Multiply by 2 to the power of N(0, 0.5)."""
    c = draw.normal(0.5).exp2()
    return _rows([[c, 0, 0, 0], [0, c, 0, 0], [0, 0, c, 0], [0, 0, 0, 1]], c)


def luma_flip(draw: Draw) -> Tensor:
    """Mirror the brightness at mid-gray, or not."""
    flip = draw.choice(2)[:, None, None]
    gray, one = _luma(flip)
    return _homogeneous(one - 2 * flip * gray)


def hue(draw: Draw) -> Tensor:
    """Turn colours by any angle about the gray axis (Rodrigues' formula)."""
    angle = draw.uniform(-math.pi, math.pi)[:, None, None]
    gray, one = _luma(angle)
    s = 1 / math.sqrt(3)
    cross = torch.tensor([[0, -s, s, 0], [s, 0, -s, 0], [-s, s, 0, 0], [0, 0, 0, 0]], device=draw.device)
    return _homogeneous(gray + angle.cos() * (one - gray) + angle.sin() * cross)


def saturation(draw: Draw) -> Tensor:
    """Multiply the distance from the gray axis by 2 to the power of N(0, 1)."""
    scale = draw.normal(1.0).exp2()[:, None, None]
    gray, one = _luma(scale)
    return _homogeneous(gray + scale * (one - gray))


# In the order of application. "rotation" stands twice, before and after the anisotropic scaling.
GEOMETRY: tuple[tuple[str, Matrices], ...] = (
    ("x_flip", x_flip),
    ("rotate90", rotate90),
    ("integer_translation", integer_translation),
    ("isotropic_scale", isotropic_scale),
    ("rotation", any_rotation),
    ("anisotropic_scale", anisotropic_scale),
    ("rotation", any_rotation),
    ("fractional_translation", fractional_translation),
)
COLORS: tuple[tuple[str, Matrices], ...] = (
    ("brightness", brightness),
    ("contrast", contrast),
    ("luma_flip", luma_flip),
    ("hue", hue),
    ("saturation", saturation),
)
GROUPS = {
    "blit": ("x_flip", "rotate90", "integer_translation"),
    "geom": ("isotropic_scale", "rotation", "anisotropic_scale", "fractional_translation"),
    "color": tuple(name for name, _ in COLORS),
}


def transform_names(names: Sequence[str]) -> frozenset[str]:
    """Names of transforms and groups => names of transforms.

    Raises:
        LatregError: a name is neither.
    """
    known = {name: (name,) for group in GROUPS.values() for name in group} | GROUPS
    for name in names:
        if name not in known:
            raise LatregError(f"generator.training.augment must list some of {', '.join(known)}, got {name!r}")
    return frozenset(transform for name in names for transform in known[name])


class AdaptiveAugment(nn.Module):
    """The pipeline with its probability p, which is part of the state.

    Args:
        transforms: names of transforms and of groups (blit, geom, color).
        resolution: of the square images.
        p: at the start.
        target: the mean sign of D's logits of real images that p is steered to; None = p stays.
        images: real images in which p would go from 0 to 1.
        interval: steps between two adjustments.
    """

    p: Tensor
    signs: Tensor

    def __init__(
        self, transforms: Sequence[str], resolution: int, p: float, target: float | None, images: float, interval: int
    ) -> None:
        super().__init__()
        names = transform_names(transforms)
        self.geometry = [step for step in GEOMETRY if step[0] in names]
        self.colors = [step for step in COLORS if step[0] in names]
        self.target, self.images, self.interval = target, images, interval
        self.warp = AffineWarp(resolution)
        self.resolution = resolution
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("signs", torch.zeros([]))  # since the last adjustment, a mean per step

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 1 or 3, R, R) in [-1, 1] => the same shape, beyond [-1, 1] maybe; some untouched."""
        draw = Draw(len(images), self.resolution, images.device)
        if self.geometry:
            matrix = self._compose(self.geometry, draw, size=3, inverse=True)
            images = _where_changed(matrix, self.warp(images, matrix), images)
        if self.colors:
            matrix = self._compose(self.colors, draw, size=4, inverse=False)
            images = _where_changed(matrix, recolor(images, matrix), images)
        return images.contiguous(memory_format=torch.channels_last)

    def _compose(self, steps: Sequence[tuple[str, Matrices]], draw: Draw, size: int, inverse: bool) -> Tensor:
        """The product (N, size, size) of those steps that strike; matrices of inverses stand in the other order."""
        product = identity = torch.eye(size, device=draw.device)
        for name, step in steps:
            # Two rotations together strike with probability p.
            probability = 1 - (1 - self.p).sqrt() if name == "rotation" else self.p
            strikes = torch.rand(draw.n, device=draw.device) < probability
            matrix = torch.where(strikes[:, None, None], step(draw), identity)
            product = product @ matrix if inverse else matrix @ product
        return product

    @torch.no_grad()
    def observe(self, mean_sign: Tensor, n_steps: int, images_per_step: int) -> None:
        """Take note of the mean sign of D's logits of a step's real images, the n-th step, and adjust p in its turn."""
        if self.target is None:
            return
        self.signs.add_(mean_sign)
        if n_steps % self.interval == 0:
            direction = (self.signs / self.interval - self.target).sign()
            self.p.add_(direction * (self.interval * images_per_step / self.images)).clamp_(0, 1)
            self.signs.zero_()


def recolor(images: Tensor, matrix: Tensor) -> Tensor:
    """Apply (N, 4, 4) colour transforms to images (N, 3, H, W), or to gray ones (N, 1, H, W) as their mean colour."""
    channels = images.shape[1]
    linear, offset = matrix[:, :3, :3].to(images.dtype), matrix[:, :3, 3, None, None].to(images.dtype)
    if channels == 1:
        return images * linear.sum(dim=(1, 2))[:, None, None, None] / 3 + offset.mean(dim=1, keepdim=True)
    return (linear @ images.flatten(2)).reshape(images.shape) + offset


def _where_changed(matrix: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    """The changed images, but the original ones where the matrix is the identity."""
    same = (matrix == torch.eye(matrix.shape[-1], device=matrix.device)).all(dim=(1, 2))
    return torch.where(same[:, None, None, None], images, changed)
