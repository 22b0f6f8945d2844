"""The StyleGAN2 networks: mapping, synthesis and discriminator (Karras et al., arXiv 1912.04958 and 2006.06676).

Parameters carry their published names, so published weights load without a table of translations.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from latreg.generator.layers import (
    Conv2dLayer,
    FullyConnectedLayer,
    MinibatchStdLayer,
    NoiseMode,
    SynthesisLayer,
    ToRGBLayer,
    binomial_filter,
    normalize_2nd_moment,
    upsample2x,
)


def block_channels(resolution: int, channel_base: int, channel_max: int) -> int:
    """Feature maps at a resolution: channel_base / resolution, at most channel_max."""
    return min(channel_base // resolution, channel_max)


def block_resolutions(resolution: int) -> list[int]:
    """4, 8, .. up to resolution, which must be a power of two of at least 8."""
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two of at least 8, got {resolution}")
    return [2**i for i in range(2, int(math.log2(resolution)) + 1)]


class MappingNetwork(nn.Module):
    """Latent z and one-hot class to intermediate latent w. Without latents (z_dim 0) it embeds the class alone."""

    w_avg: Tensor
    w_avg_class: Tensor

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, num_layers: int, lr_multiplier: float = 0.01) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.num_layers = num_layers
        self.c_dim = c_dim
        in_features = z_dim
        if c_dim > 0:
            self.embed = FullyConnectedLayer(c_dim, w_dim)
            in_features += w_dim
        for i in range(num_layers):
            layer = FullyConnectedLayer(in_features if i == 0 else w_dim, w_dim, True, lr_multiplier)
            self.add_module(f"fc{i}", layer)
        if z_dim > 0:
            self.register_buffer("w_avg", torch.zeros(w_dim))
            self.register_buffer("w_avg_class", torch.zeros(max(c_dim, 1), w_dim))

    def forward(self, z: Tensor | None, c: Tensor | None) -> Tensor:
        """z (N, z_dim), c one-hot (N, c_dim) => w (N, w_dim), without truncation."""
        parts = []
        if self.z_dim > 0:
            assert z is not None
            parts.append(normalize_2nd_moment(z))
        if self.c_dim > 0:
            assert c is not None
            parts.append(normalize_2nd_moment(self.embed(c)))
        x = torch.cat(parts, dim=1)
        for i in range(self.num_layers):
            x = self.get_submodule(f"fc{i}")(x)
        return x

    @torch.no_grad()
    def track_average(self, w: Tensor, labels: Tensor, beta: float = 0.995) -> None:
        """Move the running means of w, over all classes and per class, towards the batch w (N, w_dim), labels (N,)."""
        self.w_avg.copy_(w.mean(dim=0).lerp(self.w_avg, beta))
        for label in set(labels.tolist()):
            mean = w[labels == label].mean(dim=0)
            self.w_avg_class[label].copy_(mean.lerp(self.w_avg_class[label], beta))


class SynthesisBlock(nn.Module):
    """The layers of one resolution: one convolution at 4x4, two above, and a skip output to the image."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        conv_clamp: float | None,
    ) -> None:
        super().__init__()
        self.is_first = in_channels == 0
        self.num_conv = 1 if self.is_first else 2
        if self.is_first:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(in_channels, out_channels, w_dim, resolution, True, conv_clamp)
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution, False, conv_clamp)
        self.torgb = ToRGBLayer(out_channels, img_channels, w_dim, conv_clamp)
        self.register_buffer("resample_filter", binomial_filter())

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Tensor, noise_mode: NoiseMode
    ) -> tuple[Tensor, Tensor]:
        """ws (N, num_conv + 1, w_dim), the last for the skip output => features, image so far."""
        if self.is_first:
            x = self.const.expand(ws.shape[0], *self.const.shape).contiguous(memory_format=torch.channels_last)
        else:
            assert x is not None
            x = self.conv0(x, ws[:, 0], noise_mode)
        x = self.conv1(x, ws[:, self.num_conv - 1], noise_mode)
        rgb = self.torgb(x, ws[:, self.num_conv]).float()
        return x, rgb if image is None else upsample2x(image, self.resample_filter) + rgb


class SynthesisNetwork(nn.Module):
    """Latents w, one per layer, to an image in [-1, 1] (not clamped)."""

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        channel_base: int,
        channel_max: int,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resolutions = block_resolutions(img_resolution)
        self.num_ws = 2 * len(self.resolutions)
        in_channels = 0
        for resolution in self.resolutions:
            channels = block_channels(resolution, channel_base, channel_max)
            block = SynthesisBlock(in_channels, channels, w_dim, resolution, img_channels, conv_clamp)
            self.add_module(f"b{resolution}", block)
            in_channels = channels

    def forward(self, ws: Tensor, noise_mode: NoiseMode = "const") -> Tensor:
        """ws (N, num_ws, w_dim) => images (N, C, H, W)."""
        x: Tensor | None = None
        image: Tensor | None = None
        first = 0
        for resolution in self.resolutions:
            block = cast(SynthesisBlock, self.get_submodule(f"b{resolution}"))
            last = first + block.num_conv  # the skip output shares its latent with the next block's first layer
            x, image = block(x, image, ws[:, first : last + 1], noise_mode)
            first = last
        assert image is not None
        return image


class GeneratorNetwork(nn.Module):
    """Mapping and synthesis."""

    def __init__(
        self,
        z_dim: int,
        w_dim: int,
        c_dim: int,
        img_resolution: int,
        img_channels: int,
        channel_base: int,
        channel_max: int,
        mapping_layers: int,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, mapping_layers)
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, channel_base, channel_max, conv_clamp)
        self.num_ws = self.synthesis.num_ws

    def forward(self, z: Tensor, c: Tensor | None, noise_mode: NoiseMode = "const") -> Tensor:
        """z (N, z_dim), one-hot c (N, c_dim) => images (N, C, H, W) in [-1, 1]."""
        ws = self.mapping(z, c)[:, None].expand(-1, self.num_ws, -1)
        image: Tensor = self.synthesis(ws, noise_mode)
        return image


class DiscriminatorBlock(nn.Module):
    """Two convolutions and a halving of the resolution, with a residual branch where the architecture is resnet."""

    def __init__(self, in_channels: int, out_channels: int, residual: bool, conv_clamp: float | None) -> None:
        super().__init__()
        self.residual = residual
        self.conv0 = Conv2dLayer(in_channels, in_channels, 3, conv_clamp=conv_clamp)
        self.conv1 = Conv2dLayer(in_channels, out_channels, 3, downsample=True, conv_clamp=conv_clamp)
        if residual:
            self.skip = Conv2dLayer(in_channels, out_channels, 1, bias=False, activate=False, downsample=True)

    def forward(self, x: Tensor) -> Tensor:
        if not self.residual:
            x = self.conv1(self.conv0(x))
            return x
        gain = math.sqrt(0.5)
        x = self.skip(x, gain) + self.conv1(self.conv0(x), gain)
        return x


class DiscriminatorEpilogue(nn.Module):
    """Features of side x side, 4x4 by default, to one logit, by projection onto the class embedding if there is one."""

    def __init__(
        self, channels: int, cmap_dim: int, mbstd_group_size: int, conv_clamp: float | None, side: int = 4
    ) -> None:
        super().__init__()
        self.cmap_dim = cmap_dim
        self.mbstd = MinibatchStdLayer(mbstd_group_size)
        self.conv = Conv2dLayer(channels + 1, channels, 3, conv_clamp=conv_clamp)
        self.fc = FullyConnectedLayer(channels * side**2, channels, activate=True)
        self.out = FullyConnectedLayer(channels, max(cmap_dim, 1))

    def forward(self, x: Tensor, cmap: Tensor | None) -> Tensor:
        x = self.conv(self.mbstd(x))
        logits: Tensor = self.out(self.fc(x.flatten(1)))
        if cmap is not None:
            logits = (logits * cmap).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)
        return logits


class Discriminator(nn.Module):
    """Images and classes to realness logits."""

    def __init__(
        self,
        c_dim: int,
        img_resolution: int,
        img_channels: int,
        channel_base: int,
        channel_max: int,
        residual: bool = True,
        mapping_layers: int = 8,
        mbstd_group_size: int = 4,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.mbstd_group_size = mbstd_group_size
        self.resolutions = block_resolutions(img_resolution)[:0:-1]
        channels = {r: block_channels(r, channel_base, channel_max) for r in (4, *self.resolutions)}
        self.fromrgb = Conv2dLayer(img_channels, channels[img_resolution], 1, conv_clamp=conv_clamp)
        for r in self.resolutions:
            self.add_module(f"b{r}", DiscriminatorBlock(channels[r], channels[r // 2], residual, conv_clamp))
        cmap_dim = channels[4] if c_dim > 0 else 0
        self.mapping = MappingNetwork(0, c_dim, cmap_dim, mapping_layers) if c_dim > 0 else None
        self.b4 = DiscriminatorEpilogue(channels[4], cmap_dim, mbstd_group_size, conv_clamp)

    def forward(self, images: Tensor, c: Tensor | None) -> Tensor:
        """images (N, C, H, W) in [-1, 1], one-hot c (N, c_dim) => logits (N, 1) in float32."""
        x = self.fromrgb(images)
        for r in self.resolutions:
            x = self.get_submodule(f"b{r}")(x)
        cmap = None if self.mapping is None else self.mapping(None, c)
        logits: Tensor = self.b4(x.float(), cmap)
        return logits
