"""Layers of StyleGAN2 (Karras et al., arXiv 1912.04958), each named as in the published networks.

Activations are NCHW. Weights are stored at unit variance and scaled at run time (equalized learning rate).
Modulation scales activations instead of weights: same numbers, one ordinary convolution for the whole batch.
LeakyReLU is positively homogeneous, so its gain sqrt(2) is applied before it, where there is a scale already.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NoiseMode = Literal["const", "random", "none"]

SQRT2 = math.sqrt(2.0)


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale each row of x (N, D) to unit mean square."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


def binomial_filter() -> Tensor:
    """The [1, 3, 3, 1] low-pass filter of StyleGAN2 as a normalized (4, 4) kernel."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = taps[:, None] * taps[None, :]
    return kernel / kernel.sum()


def filter2d(x: Tensor, kernel: Tensor, padding: int, stride: int = 1, gain: float = 1) -> Tensor:
    """Filter each channel of x (N, C, H, W) with a symmetric kernel, zeros around it."""
    channels = x.shape[1]
    weight = (kernel * gain).to(x.dtype).expand(channels, 1, *kernel.shape)
    return F.conv2d(x, weight, stride=stride, padding=padding, groups=channels)


def upsample2x(x: Tensor, kernel: Tensor) -> Tensor:
    """Double the resolution of x (N, C, H, W) with the 4-tap kernel: zeros in between, then the filter with gain 4."""
    channels = x.shape[1]
    weight = (kernel * 4).to(x.dtype).expand(channels, 1, 4, 4)
    return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=channels)


def leaky_relu(x: Tensor, clamp: float | None = None) -> Tensor:
    """LeakyReLU(0.2) in place, then clamp to [-clamp, clamp] (None = never)."""
    x = F.leaky_relu_(x, 0.2)
    return x if clamp is None else x.clamp(-clamp, clamp)


class FullyConnectedLayer(nn.Module):
    """Dense layer with equalized learning rate."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activate: bool = False,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier))
        self.activate = activate
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        gain = SQRT2 if self.activate else 1.0
        weight = self.weight.to(x.dtype) * (self.weight_gain * gain)
        bias = self.bias.to(x.dtype) * (self.bias_gain * gain)
        x = torch.addmm(bias, x, weight.t())
        return leaky_relu(x) if self.activate else x


class ModulatedConv(nn.Module):
    """Base of the style-modulated convolutions: an affine map from w to one style per input channel."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, kernel_size: int) -> None:
        super().__init__()
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(
            torch.randn(out_channels, in_channels, kernel_size, kernel_size).to(memory_format=torch.channels_last)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels))


class SynthesisLayer(ModulatedConv):
    """Modulated 3x3 convolution with demodulation, optional 2x upsampling, noise and LeakyReLU (section 2.2)."""

    noise_const: Tensor
    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        upsample: bool = False,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, w_dim, kernel_size=3)
        self.upsample = upsample
        self.conv_clamp = conv_clamp
        self.resolution = resolution
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", binomial_filter())

    def forward(self, x: Tensor, w: Tensor, noise_mode: NoiseMode = "const") -> Tensor:
        """x (N, C_in, H, W), w (N, w_dim) => (N, C_out, resolution, resolution)."""
        styles = self.affine(w)
        demodulation = (styles.square() @ self.weight.square().sum(dim=(2, 3)).t() + 1e-8).rsqrt()  # (N, C_out)
        x = x * styles.to(x.dtype)[:, :, None, None]
        weight = self.weight.to(x.dtype)
        if self.upsample:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = filter2d(x, self.resample_filter, padding=1, gain=4)
        else:
            x = F.conv2d(x, weight, padding=1)
        scale = (demodulation * SQRT2).to(x.dtype)[:, :, None, None]
        x = torch.addcmul((self.bias * SQRT2).to(x.dtype)[:, None, None], x, scale)
        if noise_mode != "none":
            x += (self._noise(x, noise_mode) * (self.noise_strength * SQRT2)).to(x.dtype)
        return leaky_relu(x, self.conv_clamp)

    def _noise(self, x: Tensor, noise_mode: NoiseMode) -> Tensor:
        if noise_mode == "const":
            return self.noise_const
        return torch.randn(x.shape[0], 1, self.resolution, self.resolution, device=x.device)


class ToRGBLayer(ModulatedConv):
    """Modulated 1x1 convolution to image channels, without demodulation."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, conv_clamp: float | None = None) -> None:
        super().__init__(in_channels, out_channels, w_dim, kernel_size=1)
        self.conv_clamp = conv_clamp
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * self.weight_gain
        x = F.conv2d(x * styles.to(x.dtype)[:, :, None, None], self.weight.to(x.dtype), self.bias.to(x.dtype))
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp, self.conv_clamp)


class Conv2dLayer(nn.Module):
    """Plain convolution of the discriminator with equalized learning rate, optional low-pass and 2x downsampling."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        activate: bool = True,
        downsample: bool = False,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.activate = activate
        self.downsample = downsample
        self.conv_clamp = conv_clamp
        self.kernel_size = kernel_size
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(
            torch.randn(out_channels, in_channels, kernel_size, kernel_size).to(memory_format=torch.channels_last)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.register_buffer("resample_filter", binomial_filter())

    def forward(self, x: Tensor, gain: float = 1) -> Tensor:
        """x (N, C_in, H, W) => (N, C_out, H, W), or half of H and W; gain scales the output."""
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        gain *= SQRT2 if self.activate else 1
        weight = (self.weight * (self.weight_gain * gain)).to(x.dtype)
        bias = None if self.bias is None else (self.bias * gain).to(x.dtype)
        if self.downsample and self.kernel_size == 1:
            x = filter2d(x, self.resample_filter, padding=1, stride=2)
            x = F.conv2d(x, weight, bias)
        elif self.downsample:
            x = filter2d(x, self.resample_filter, padding=2)
            x = F.conv2d(x, weight, bias, stride=2)
        else:
            x = F.conv2d(x, weight, bias, padding=self.kernel_size // 2)
        return leaky_relu(x, clamp) if self.activate else x


class MinibatchStdLayer(nn.Module):
    """Append the mean standard deviation over groups of samples as one channel, so that D sees a lack of variety."""

    def __init__(self, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) => (N, C + 1, H, W); N must be a multiple of the group size, or smaller than it."""
        n, c, h, w = x.shape
        group = min(self.group_size, n)
        y = x.reshape(group, -1, c, h, w)  # G M C H W
        variance = (y - y.mean(dim=0)).square().mean(dim=0)  # nine times as fast as y.var() on a CPU
        std = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))  # M
        channel = std.repeat(group)[:, None, None, None].expand(n, 1, h, w)
        return torch.cat([x, channel], dim=1)
