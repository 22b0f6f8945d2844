"""Classifier networks by name. Each takes float images (N, C, H, W) in [0, 1] and gives logits (N, K).

The bodies are functions of (channels, num_classes, sizes) and end in a linear layer; H and W may be anything that
survives their strides. The default sizes cost 8 to 27 MFLOP per image of 32x32, a tenth of rendering it. No layer draws
random numbers, so that a resumed training is exact.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latreg.errors import LatregError, reason


class Classifier(nn.Module):
    """A body behind a per-channel normalization, whose mean and std are stored with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Sequential, channels: int, num_classes: int) -> None:
        super().__init__()
        self.channels = channels
        self.num_classes = num_classes
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => logits (N, K)."""
        logits: Tensor = self.body(self._normalized(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => what the last, linear layer sees (N, D)."""
        features: Tensor = self.body[:-1](self._normalized(images))
        return features

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Images (N, C, H, W) in [0, 1] => the deepest feature map (N, D, h, w) of each resolution above 1x1."""
        maps: dict[int, Tensor] = {}
        x = self._normalized(images)
        for module in self.body:
            x = module(x)
            if x.ndim == 4 and x.shape[-1] > 1:
                maps[int(x.shape[-1])] = x  # no int, but a tensor, while a graph is made
        return list(maps.values())

    def whiten(self, images: Tensor) -> None:
        """Fit the whitening stem, of networks that have one, to training images (N, C, H, W) in [0, 1]."""
        for module in self.body.modules():
            if isinstance(module, WhiteningConv2d):
                module.fit(self._normalized(images))

    def _normalized(self, images: Tensor) -> Tensor:
        normalized = (images - self.mean[:, None, None]) / self.std[:, None, None]
        return normalized.contiguous(memory_format=torch.channels_last)


class WhiteningConv2d(nn.Conv2d):
    """2x2 patches along the principal axes of training images, and their negatives; only the bias is trained.

    Source: Page 2019, "How to train your ResNet 8: bag of tricks", and airbench.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 8 * channels, 2)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Compute the weights from normalized images (N, C, H, W)."""
        patches = F.unfold(images, 2).transpose(1, 2).flatten(0, 1)  # (N (H-1) (W-1), 4 C)
        variances, axes = torch.linalg.eigh(patches.T @ patches / len(patches))
        white = (axes / (variances + 5e-4).sqrt()).T.reshape(-1, *self.weight.shape[1:])
        self.weight.copy_(torch.cat([white, -white]))


class UnscaledBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization with a bias, but without a trained scale, and with a short memory."""

    def __init__(self, width: int) -> None:
        super().__init__(width, momentum=0.4)
        self.weight.requires_grad_(False)


def resnet(
    channels: int, num_classes: int, widths: Sequence[int] = (32, 64, 128), blocks: int = 1, first_stride: int = 2
) -> nn.Sequential:
    """Basic residual blocks, `blocks` for each width (He et al. 2016).

    ResNet-18 for 32x32 images is widths (64, 128, 256, 512), blocks 2, first_stride 1.
    """
    layers: list[nn.Module] = [_conv_bn(channels, widths[0], 3), nn.ReLU(inplace=True)]
    before = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = (first_stride if stage == 0 else 2) if block == 0 else 1
            layers.append(_ResidualBlock(before, width, stride))
            before = width
    return nn.Sequential(*layers, *_pooled_head(before, num_classes))


def vgg(
    channels: int, num_classes: int, widths: Sequence[int] = (16, 32, 64), convs: int = 2, hidden: int = 128
) -> nn.Sequential:
    """Plain 3x3 convolutions, max-pooling after `convs` of each width, a hidden layer (Simonyan & Zisserman 2015)."""
    layers: list[nn.Module] = []
    before = channels
    for width in widths:
        for _ in range(convs):
            layers += [_conv_bn(before, width, 3), nn.ReLU(inplace=True)]
            before = width
        layers.append(nn.MaxPool2d(2))
    head = [
        _Quarters(),
        nn.Flatten(),
        nn.Linear(4 * before, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers, *head, nn.Linear(hidden, num_classes))


class _Quarters(nn.Module):
    """The maxima of a map's quarters: nn.AdaptiveMaxPool2d(2), also of odd sides in a graph of ONNX."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) => (N, C, 2, 2); a middle line is part of both halves."""
        height, width = map(int, x.shape[2:])
        halves = [x[:, :, : (height + 1) // 2], x[:, :, height // 2 :]]
        rows = [[half[..., : (width + 1) // 2], half[..., width // 2 :]] for half in halves]
        return torch.stack([torch.stack([part.amax((2, 3)) for part in row], dim=2) for row in rows], dim=2)


def airbench(channels: int, num_classes: int, widths: Sequence[int] = (64, 256, 256)) -> nn.Sequential:
    """Plain 3x3 convolutions that halve the resolution early, for fast training (Jordan 2024, arXiv 2404.00498).

    The stem whitens patches, convolutions begin as identities as far as they can, normalizations have no scale.
    """
    return _whitened(
        channels,
        num_classes,
        widths,
        lambda width: [_identity_conv(width, width), UnscaledBatchNorm2d(width), nn.GELU()],
    )


def whitened_resnet(channels: int, num_classes: int, widths: Sequence[int] = (64, 128, 256)) -> nn.Sequential:
    """The stem, normalizations and head of `airbench` around one residual block for each width."""
    return _whitened(channels, num_classes, widths, lambda width: [_UnscaledResidual(width)])


def _whitened(
    channels: int, num_classes: int, widths: Sequence[int], rest_of_stage: Callable[[int], list[nn.Module]]
) -> nn.Sequential:
    stem = WhiteningConv2d(channels)
    layers: list[nn.Module] = [stem, nn.GELU()]
    before = stem.out_channels
    for width in widths:
        layers += [_identity_conv(before, width), nn.MaxPool2d(2), UnscaledBatchNorm2d(width), nn.GELU()]
        layers += rest_of_stage(width)
        before = width
    head = [nn.AdaptiveMaxPool2d(1), nn.Flatten(), _Scale(1 / 9), nn.Linear(before, num_classes, bias=False)]
    return nn.Sequential(*layers, *head)


def mobilenet(
    channels: int,
    num_classes: int,
    widths: Sequence[int] = (24, 48, 96),
    blocks: int = 2,
    *,
    expansion: int = 2,
    first_stride: int = 2,
) -> nn.Sequential:
    """Inverted residual blocks with depthwise 5x5 convolutions (Sandler et al. 2018)."""
    layers: list[nn.Module] = [_conv_bn(channels, widths[0], 3, first_stride), nn.SiLU()]
    before = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            layers.append(_InvertedResidual(before, width, expansion, stride=2 if stage > 0 and block == 0 else 1))
            before = width
    return nn.Sequential(*layers, *_pooled_head(before, num_classes))


def densenet(
    channels: int, num_classes: int, growth: int = 16, layers: Sequence[int] = (4, 4, 4), first_stride: int = 2
) -> nn.Sequential:
    """Densely connected layers; between the stages the width and the resolution are halved (Huang et al. 2017)."""
    width = 2 * growth
    modules: list[nn.Module] = [nn.Conv2d(channels, width, 3, first_stride, padding=1, bias=False)]
    for stage, depth in enumerate(layers):
        if stage > 0:
            modules += [*_bn_relu(width), nn.Conv2d(width, width // 2, 1, bias=False), nn.AvgPool2d(2)]
            width //= 2
        for _ in range(depth):
            modules.append(_DenseLayer(width, growth))
            width += growth
    return nn.Sequential(*modules, *_bn_relu(width), *_pooled_head(width, num_classes))


NETWORKS: dict[str, Callable[..., nn.Sequential]] = {
    "resnet": resnet,
    "vgg": vgg,
    "airbench": airbench,
    "whitened_resnet": whitened_resnet,
    "mobilenet": mobilenet,
    "densenet": densenet,
}


def build(
    network: str, channels: int, num_classes: int, network_args: dict[str, Any], source: str | None = None
) -> Classifier:
    """A fresh network by its name in `NETWORKS`, in the channels_last memory format.

    Args:
        source: the file that name and arguments come from, for the message; None = the settings.

    Raises:
        LatregError: no network has this name, or it does not take these arguments.
    """
    before, behind = ("", f" in {source}") if source else ("classifier.", "")
    if network not in NETWORKS:
        raise LatregError(
            f"{before}network{behind} must be one of {', '.join(sorted(NETWORKS))}, got {network[:100]!r}"
        )
    try:
        body = NETWORKS[network](channels, num_classes, **network_args)
    except (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError) as error:
        raise LatregError(f"{before}network_args{behind} do not fit the network {network}: {reason(error)}") from error
    classifier = Classifier(body, channels, num_classes)
    return classifier.to(memory_format=torch.channels_last)  # type: ignore[no-any-return,call-overload]


def _conv_bn(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    narrow = kernel == 1 and stride > 1 and min(before, after) < 8
    layer = _NarrowPointwiseConv2d if narrow else nn.Conv2d
    conv = layer(before, after, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after))


class _NarrowPointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution that drops rows and columns before, not on the way.

    With a stride, fewer than 8 channels and no AVX512, the gradient of torch 2.13 (oneDNN) writes beyond its memory.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x[:, :, :: self.stride[0], :: self.stride[1]], self.weight, self.bias)


def _identity_conv(before: int, after: int) -> nn.Conv2d:
    """A 3x3 convolution whose first outputs are its inputs, as far as there are as many."""
    conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight[:before].data)
    return conv


def _bn_relu(width: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]


def _pooled_head(width: int, num_classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)]


class _Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class _UnscaledResidual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        convs = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        first, second = ([conv, UnscaledBatchNorm2d(width)] for conv in convs)
        self.body = nn.Sequential(*first, nn.GELU(), *second)
        self.activate = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.activate(x + self.body(x))
        return activated


class _ResidualBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _conv_bn(before, after, 3, stride), nn.ReLU(inplace=True), _conv_bn(after, after, 3)
        )
        same_shape = before == after and stride == 1
        self.skip = nn.Identity() if same_shape else _conv_bn(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        return y.add_(self.skip(x)).relu_()


class _InvertedResidual(nn.Module):
    def __init__(self, before: int, after: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = expansion * before
        expand, depthwise = _conv_bn(before, inner, 1), _conv_bn(inner, inner, 5, stride, groups=inner)
        self.branch = nn.Sequential(expand, nn.SiLU(), depthwise, nn.SiLU(), _conv_bn(inner, after, 1))
        self.has_skip = before == after and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        return x + y if self.has_skip else y


class _DenseLayer(nn.Module):
    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(*_bn_relu(before), nn.Conv2d(before, growth, 3, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.branch(x)], dim=1)
