"""What latreg's images become before a classifier made elsewhere sees them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.config import DatasetConfig, OwnClassifierConfig
from latreg.errors import LatregError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow turns RGB into L
FITS = ("crop", "resize")
CHANNEL_ORDERS = ("rgb", "bgr")
MAX_SIDE = 4096  # of an input that a file asks for, as of classifier.size
MIN_CROP = 0.1  # part of a scaled image that a file lets a network see: a smaller one needs a huge image
LAYOUTS = ("nchw", "nhwc")


class Preprocessor(Protocol):
    """The preprocessing that a library makes of a model's own file.

    Attributes:
        white, mean, std, channel_order, size: what it does by itself, as in `Inputs`.
    """

    white: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str
    size: int

    def __call__(self, images: Tensor, inputs: "Inputs") -> Tensor:
        """RGB or gray images (N, C, H, W) in [0, 1] => what the model takes; `inputs` may ask for other values."""
        ...


@dataclass(frozen=True)
class Preset:
    """What a model's own file says about its inputs and its classes; None = nothing.

    Attributes:
        origin: where a field of these stands, for messages: file and key.
    """

    channels: int | None = None
    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    class_names: tuple[str, ...] | None = None
    layout: str | None = None
    dtype: torch.dtype = torch.float32
    preprocessor: Preprocessor | None = None
    origin: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """A map of images (N, C, H, W) in [0, 1]; the fields mean what they do in `OwnClassifierConfig`.

    Attributes:
        dtype: of what comes out; that of bytes is rounded.
        preprocessor: does all but cutting a border and the number of channels; None = it is done here.
    """

    channels: int
    size: int
    fit: str
    white: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str = "rgb"
    layout: str = "nchw"
    dtype: torch.dtype = torch.float32
    preprocessor: Preprocessor | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => (N, channels, size, size) or (N, size, size, channels), normalized."""
        images = _with_channels(images, self.channels)
        if self.preprocessor is not None:
            cut = self._resize(images) if self.fit == "crop" else images
            images = self.preprocessor(cut, self)
        else:
            images = self._normalized(self._resize(images))
        if not self.dtype.is_floating_point:
            images = images.round().clamp(0, 255)
        return (images.permute(0, 2, 3, 1) if self.layout == "nhwc" else images).to(self.dtype).contiguous()

    def _normalized(self, images: Tensor) -> Tensor:
        images = (images.flip(1) if self.channel_order == "bgr" else images) * self.white
        return (images - images.new_tensor(self.mean)[:, None, None]) / images.new_tensor(self.std)[:, None, None]

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
        if "preprocessor" in changed:  # what it would do by itself must be said
            changed = [name for name in changed if name not in ("preprocessor", "white", "mean", "std")]
            changed += ["white", "mean", "std"]
        return " ".join(f"classifier.{name}={_as_setting(getattr(self, name))}" for name in changed)


def make_inputs(config: OwnClassifierConfig, preset: Preset, dataset: DatasetConfig) -> Inputs:
    """The map that the settings ask for; what they leave open the model's own file says, or the data set.

    Raises:
        LatregError: a setting is out of its range, or images would have to be made smaller and nothing says how.
    """
    own = preset.preprocessor
    channels = config.channels or preset.channels or dataset.channels
    if channels not in (1, 3):
        raise LatregError(f"{_name('channels', config, preset)} must be 1 or 3, got {channels}")
    size = config.size or (own.size if own else preset.size) or dataset.resolution
    if size < 1 or config.white <= 0:
        raise LatregError(f"classifier.size and classifier.white must be above 0, got {size} and {config.white:g}")
    mean = config.mean or (own.mean if own else preset.mean) or (0.0,)
    std = config.std or (own.std if own else preset.std) or (1.0,)
    mean = per_channel(_name("mean", config, preset), mean, channels)
    std = per_channel(_name("std", config, preset), std, channels)
    if 0 in std:
        raise LatregError(f"{_name('std', config, preset)} must not be 0, got {_as_setting(std)}")
    inputs = Inputs(
        channels,
        size,
        _fit(config.fit, size, dataset),
        own.white if own and config.white == 1 else config.white,
        mean,
        std,
        _choice("channel_order", config.channel_order, own.channel_order if own else None, CHANNEL_ORDERS),
        _choice("layout", config.layout, preset.layout, LAYOUTS),
        preset.dtype,
        own,
    )
    return inputs if preset.dtype.is_floating_point else _of_bytes(inputs)


def _of_bytes(inputs: Inputs) -> Inputs:
    """The same for a network that takes whole numbers of 0 .. 255."""
    plain = all(m == 0 for m in inputs.mean) and all(s == 1 for s in inputs.std) and inputs.white in (1, 255)
    if not plain:
        raise LatregError(
            f"the classifier takes {str(inputs.dtype).removeprefix('torch.')} images of 0 .. 255, so classifier.mean "
            "and classifier.std must not be set, and classifier.white must be 255"
        )
    return replace(inputs, white=255.0)


def _name(key: str, config: OwnClassifierConfig, preset: Preset) -> str:
    """What a value is called: the setting, or the file and the key that it came from."""
    given = getattr(config, key) is not None
    return f"classifier.{key}" if given or key not in preset.origin else preset.origin[key]


def _choice(key: str, given: str | None, own: str | None, allowed: tuple[str, ...]) -> str:
    """The first of them that is set, or the first that is allowed."""
    if given is not None and given not in allowed:
        raise LatregError(f"classifier.{key} must be {' or '.join(allowed)}, got {given!r}")
    return given or own or allowed[0]


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


def numbers(name: str, values: Any) -> tuple[float, ...]:
    """Finite numbers that somebody's file holds under a name, several or one.

    Raises:
        LatregError: they are something else.
    """
    values = values if isinstance(values, list | tuple) else [values]
    for value in values:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise LatregError(f"{name} must be made of finite numbers, got {str(value)[:100]!r}")
    return tuple(map(float, values))


def per_channel(name: str, values: Sequence[float], channels: int) -> tuple[float, ...]:
    """One value for each channel; a single one holds for all.

    Raises:
        LatregError: there are more or fewer.
    """
    if len(values) == 1:
        return tuple(map(float, values)) * channels
    if len(values) != channels:
        allowed = "1 value" if channels == 1 else f"1 value or {channels}, one for each channel"
        raise LatregError(f"{name} must have {allowed}, got {list(values)}")
    return tuple(map(float, values))


def _as_setting(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(f'{v:.4g}' for v in (value[:1] if len(set(value)) == 1 else value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of images (N, C, H, W)."""
    pixels = images.transpose(0, 1).flatten(1)
    return tuple(pixels.mean(1).tolist()), tuple(torch.clamp(pixels.std(1), min=1e-3).tolist())
