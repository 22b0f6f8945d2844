"""A trained network as it answers queries: the same function up to rounding, in less time."""

import copy

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from latreg.compute.winograd import SameConvolution

MIN_CHANNELS = 16  # of the input; with fewer there is nothing to win


def optimized(network: nn.Module) -> nn.Module:
    """A copy of a network in eval mode, whose weights must not change any more.

    As `folded`, and 3x3 convolutions are Winograd's where the network is on a CPU.
    """
    network = folded(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d) and _suits(child):
                setattr(module, name, _WinogradConv2d(child))
    return network


def folded(network: nn.Module) -> nn.Module:
    """The same in eval mode; batch normalizations right behind convolutions in a Sequential melt into them."""
    network = copy.deepcopy(network)
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for i in range(len(sequence) - 1):
            convolution, norm = sequence[i], sequence[i + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                sequence[i], sequence[i + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return network


def _suits(convolution: nn.Conv2d) -> bool:
    plain = (convolution.kernel_size, convolution.padding, convolution.padding_mode) == ((3, 3), (1, 1), "zeros")
    every = (convolution.stride, convolution.dilation, convolution.groups) == ((1, 1), (1, 1), 1)
    return plain and every and convolution.in_channels >= MIN_CHANNELS and convolution.weight.device.type == "cpu"


class _WinogradConv2d(nn.Module):
    """A convolution of (N, C, H, W), which are best (N, H, W, C) in memory."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self._convolve = SameConvolution(convolution.weight, convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self._convolve(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
