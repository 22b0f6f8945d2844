"""A trained network as it answers queries: the same function up to rounding, in less time.

On a CPU an image is answered alike whatever is asked beside it, to the bit.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from latreg.compute.products import DepthwiseConvolution, PatchConvolution, RowProduct, TransposedConvolution
from latreg.compute.winograd import SameConvolution

MIN_CHANNELS = 16  # of the input; with fewer Winograd's algorithm wins nothing
ACTIVATIONS = (nn.SiLU, nn.GELU, nn.Sigmoid)
MEANS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)
WHOLE_VECTORS = 64  # floats, a multiple of what any CPU works on at once
Network = TypeVar("Network", bound=nn.Module)
Maps = SameConvolution | PatchConvolution | DepthwiseConvolution | TransposedConvolution


def optimized(network: Network) -> Network:
    """A copy of a network in eval mode, whose weights must not change any more.

    As `folded`; on a CPU its layers are replaced by those that treat each image alike.
    """
    network = folded(network)
    if all(parameter.device.type == "cpu" for parameter in network.parameters()):
        for module in list(network.modules()):
            for name, child in module.named_children():
                setattr(module, name, _replacement(child))
    return network


def folded(network: Network) -> Network:
    """The same in eval mode; batch normalizations right behind convolutions in a Sequential melt into them."""
    network = copy.deepcopy(network)
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for i in range(len(sequence) - 1):
            convolution, norm = sequence[i], sequence[i + 1]
            if isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                transposed = isinstance(convolution, nn.ConvTranspose2d)
                sequence[i], sequence[i + 1] = fuse_conv_bn_eval(convolution, norm, transposed), nn.Identity()
    return network


def _replacement(layer: nn.Module) -> nn.Module:
    """What answers in the place of a layer; the layer itself where there is nothing to put there."""
    if isinstance(layer, nn.Linear):
        return _Rows(layer)
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and (maps := _convolution(layer)) is not None:
        return _OfMaps(maps)
    if isinstance(layer, ACTIVATIONS):
        return _Activation(layer)
    return _Alone(layer) if isinstance(layer, MEANS) else layer


def _convolution(layer: nn.Conv2d | nn.ConvTranspose2d) -> Maps | None:
    weight, bias, stride, padding = layer.weight, layer.bias, layer.stride, layer.padding
    if isinstance(padding, str) or layer.padding_mode != "zeros" or set(layer.dilation) != {1}:
        return None
    if isinstance(layer, nn.ConvTranspose2d):
        plain = layer.groups == 1 and set(layer.output_padding) == {0}
        return TransposedConvolution(weight, bias, stride, padding) if plain else None  # type: ignore[arg-type]
    if layer.groups == 1:
        same = (layer.kernel_size, stride, padding) == ((3, 3), (1, 1), (1, 1)) and layer.in_channels >= MIN_CHANNELS
        return SameConvolution(weight, bias) if same else PatchConvolution(weight, bias, stride, padding)  # type: ignore[arg-type]
    square = all(len(set(pair)) == 1 for pair in (layer.kernel_size, stride, padding))
    if square and layer.groups == layer.in_channels == layer.out_channels:
        return DepthwiseConvolution(weight, bias, stride[0], padding[0])
    return None


class _Rows(nn.Module):
    """A linear layer."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self._product = RowProduct(layer.weight.t(), layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x)


class _OfMaps(nn.Module):
    """A convolution of (N, C, H, W), which are best (N, H, W, C) in memory."""

    def __init__(self, convolve: Maps) -> None:
        super().__init__()
        self._convolve = convolve

    def forward(self, x: Tensor) -> Tensor:
        return self._convolve(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Alone(nn.Module):
    """A layer without weights, of one image after the other.

    What is left over of full vectors, at the end of a tensor or of a thread's share of it, is computed otherwise.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self._layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._layer(image) for image in torch.split(x, 1)])


class _Activation(_Alone):
    """The same of each number: where images are whole vectors, and one thread has them all, they need not be alone."""

    def forward(self, x: Tensor) -> Tensor:
        dense = x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last))
        whole = dense and x.shape[1:].numel() % WHOLE_VECTORS == 0 and torch.get_num_threads() == 1
        activated: Tensor = self._layer(x) if whole else super().forward(x)
        return activated
