"""A trained network as it answers queries: the same function up to rounding, in less time.

On a CPU an image is answered alike whatever is asked beside it, to the bit.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from latreg.compute.products import PatchConvolution, RowProduct
from latreg.compute.runtime import Graph
from latreg.compute.winograd import SameConvolution

WIDE = 192  # channels, from which on Winograd's algorithm beats onnxruntime where there is no AVX512
MIN_CHANNELS = 16  # of the input; with fewer it wins nothing
MEANS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)
WHOLE_VECTORS = 64  # floats, a multiple of what any CPU works on at once
Network = TypeVar("Network", bound=nn.Module)


def optimized(network: nn.Module) -> nn.Module:
    """A copy of a network in eval mode, whose weights must not change any more.

    As `folded`; on a CPU it is a graph of onnxruntime, or where its convolutions are wide, its layers are replaced by
    our own.
    """
    network = folded(network)
    if any(parameter.device.type != "cpu" for parameter in network.parameters()):
        return network
    if not is_wide(network):
        return Graph(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            setattr(module, name, _replacement(child))
    return network


def is_wide(network: nn.Module) -> bool:
    """Whether it has wide convolutions, and no others than those of this file."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    widest = max((one.in_channels for one in convolutions if _is_same(one)), default=0)
    return widest >= WIDE and all(map(_is_plain, convolutions))


def _is_plain(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    usual = layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
    return isinstance(layer, nn.Conv2d) and usual and not isinstance(layer.padding, str)


def _is_same(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether it is a convolution that Winograd's algorithm does."""
    sizes = (layer.kernel_size, layer.stride, layer.padding)
    return _is_plain(layer) and sizes == ((3, 3), (1, 1), (1, 1)) and layer.in_channels >= MIN_CHANNELS


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
    if isinstance(layer, nn.Conv2d):
        return _OfMaps(_convolution(layer))
    if isinstance(layer, nn.GELU):
        return _Activation(layer)
    return _Alone(layer) if isinstance(layer, MEANS) else layer


def _convolution(layer: nn.Conv2d) -> SameConvolution | PatchConvolution:
    if _is_same(layer):
        return SameConvolution(layer.weight, layer.bias)
    return PatchConvolution(layer.weight, layer.bias, layer.stride, layer.padding)  # type: ignore[arg-type]


class _Rows(nn.Module):
    """A linear layer."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self._product = RowProduct(layer.weight.t(), layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x)


class _OfMaps(nn.Module):
    """A convolution of (N, C, H, W), which are best (N, H, W, C) in memory."""

    def __init__(self, convolve: SameConvolution | PatchConvolution) -> None:
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
