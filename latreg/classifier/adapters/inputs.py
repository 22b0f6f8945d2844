"""What latreg's images become before a classifier made elsewhere sees them."""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.config import DatasetConfig, OwnClassifierConfig
from latreg.errors import LatregError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow turns RGB into L
FITS = ("crop", "resize")


@dataclass(frozen=True)
class Preset:
    """What a model's own file says about its inputs and its classes; None = nothing."""

    channels: int | None = None
    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Inputs:
    """A map of images (N, C, H, W) in [0, 1]; the fields mean what they do in `OwnClassifierConfig`."""

    channels: int
    size: int
    fit: str
    white: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => (N, channels, size, size), normalized."""
        images = self._resize(_with_channels(images, self.channels)) * self.white
        return (
            (images - images.new_tensor(self.mean)[:, None, None]) / images.new_tensor(self.std)[:, None, None]
        ).contiguous()

    def _resize(self, images: Tensor) -> Tensor:
        side = images.shape[-1]
        if side == self.size:
            return images
        if self.fit == "crop":
            first = (side - self.size) // 2  # where `pad_to` puts them
            return images[..., first : first + self.size, first : first + self.size]
        scaled = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        return scaled.clamp(0, 1)

    def settings(self, other: "Inputs") -> str:
        """The settings in which this differs from another, as on the command line."""
        changed = [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]
        return " ".join(f"classifier.{name}={_as_setting(getattr(self, name))}" for name in changed)


def make_inputs(config: OwnClassifierConfig, preset: Preset, dataset: DatasetConfig) -> Inputs:
    """The map that the settings ask for; what they leave open the model's own file says, or the data set.

    Raises:
        LatregError: a setting is out of its range, or images would have to be made smaller and nothing says how.
    """
    channels = config.channels or preset.channels or dataset.channels
    if channels not in (1, 3):
        raise LatregError(f"classifier.channels must be 1 or 3, got {channels}")
    size = config.size or preset.size or dataset.resolution
    if size < 1 or config.white <= 0:
        raise LatregError(f"classifier.size and classifier.white must be above 0, got {size} and {config.white:g}")
    mean = _per_channel("mean", config.mean or preset.mean or (0.0,), channels)
    std = _per_channel("std", config.std or preset.std or (1.0,), channels)
    if 0 in std:
        raise LatregError(f"classifier.std must not be 0, got {_as_setting(std)}")
    return Inputs(channels, size, _fit(config.fit, size, dataset), config.white, mean, std)


def _with_channels(images: Tensor, channels: int) -> Tensor:
    if images.shape[1] == channels:
        return images
    if channels == 1:
        return (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    return images.expand(-1, channels, -1, -1)


def _fit(fit: str | None, size: int, dataset: DatasetConfig) -> str:
    if fit is not None and fit not in FITS:
        raise LatregError(f"classifier.fit must be crop or resize, got {fit!r}")
    if size > dataset.resolution and fit == "crop":
        raise LatregError(f"classifier.fit=crop needs a size of at most {dataset.resolution}, got {size}")
    if size < dataset.resolution and fit is None:
        raise LatregError(
            f"classifier.fit must say how images of {dataset.resolution}x{dataset.resolution} become {size}x{size}: "
            "crop cuts off the border (right where the data set was padded, as MNIST's 28x28 are), resize scales them"
        )
    return fit or "resize"


def _per_channel(name: str, values: list[float] | tuple[float, ...], channels: int) -> tuple[float, ...]:
    """One value for each channel; a single one holds for all."""
    if len(values) == 1:
        return tuple(map(float, values)) * channels
    if len(values) != channels:
        raise LatregError(
            f"classifier.{name} must have 1 value or {channels}, one for each channel, got {list(values)}"
        )
    return tuple(map(float, values))


def _as_setting(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(f'{v:.4g}' for v in (value[:1] if len(set(value)) == 1 else value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of images (N, C, H, W)."""
    pixels = images.transpose(0, 1).flatten(1)
    return tuple(pixels.mean(1).tolist()), tuple(torch.clamp(pixels.std(1), min=1e-3).tolist())
