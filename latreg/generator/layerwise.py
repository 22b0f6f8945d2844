"""The synthesis network as a search runs it: layer by layer, so that what images have in common is computed once.

Layer l is what the l-th latent controls: at even l the convolution that ends a block, at odd l the skip output of a
block together with the convolution that begins the next one. Each is split where it stops being linear in its style:
a response, affine in w, and what follows it (demodulation, bias, noise, LeakyReLU). So the response to a mixture of two
latents is the mixture of their responses.

All that does not depend on w is computed once: squared weights, scaled biases with the noise on top, weights in the
order that the convolution wants, and what the constant input does. Feature maps are (N, H, W, C).
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.compute.batches import filled
from latreg.compute.products import RowProduct, pixels_times
from latreg.compute.winograd import SameConvolution, UpsamplingConvolution
from latreg.generator.layers import SQRT2, FullyConnectedLayer, SynthesisLayer, normalize_2nd_moment
from latreg.generator.networks import MappingNetwork, SynthesisBlock, SynthesisNetwork

Tensors = tuple[Tensor, ...]  # batched in dimension 0
Convolve = Callable[[Tensor, Tensor], Tensor]  # maps (N, H, W, C) and the scales of their channels (N, C) => maps


class LayerwiseSynthesis:
    """Fulfils the LayerwiseGenerator protocol of latreg.search.reuse.

    The state that enters a layer is () at layer 0, then the features, from layer 2 on followed by the image so far.
    After the last layer it is the image alone, (N, C, H, W), about [0, 1]: it is not clamped.

    Args:
        network: its weights must not change any more.

    Attributes:
        map_sizes: floats of an image's feature maps, layer by layer.
    """

    @torch.no_grad()
    def __init__(self, network: SynthesisNetwork) -> None:
        self.num_ws = network.num_ws
        blocks = [cast(SynthesisBlock, network.get_submodule(f"b{resolution}")) for resolution in network.resolutions]
        layers = [layer for block in blocks[1:] for layer in (block.conv0, block.conv1)]
        self._convolutions: list[_ConstantConvolution | _Convolution] = [
            _ConstantConvolution(blocks[0].const, blocks[0].conv1),
            *(_Convolution(layer) for layer in layers),
        ]
        self._skips = [_Skip(block) for block in blocks]
        self.map_sizes = [len(layer.weight) * layer.resolution**2 for layer in (blocks[0].conv1, *layers)]

    def respond(self, layer: int, state: Tensors, w: Tensor) -> Tensors:
        """Features and their styles, skip output, and the image so far, as far as there are such; affine in w.

        The features of the state are overwritten.
        """
        skip = (self._skips[layer // 2].respond(state[0], w),) if layer % 2 == 1 else ()
        features = self._convolutions[layer].respond(state, w) if layer < self.num_ws - 1 else ()
        return (*features, *skip, *state[1:])

    def advance(self, layer: int, response: Tensors) -> Tensors:
        """The state that enters the next layer. The features of the response are overwritten."""
        if layer == self.num_ws - 1:
            return (self._skips[-1].add(*response) * 0.5 + 0.5,)
        features, styles, *images = response
        if layer % 2 == 1:
            images = [self._skips[layer // 2].add(*images)]
        return (self._convolutions[layer].finish(features, styles), *images)

    def __call__(self, ws: Tensor) -> Tensor:
        """ws (N, num_ws, w_dim) => images (N, C, H, W)."""
        state: Tensors = ()
        for layer in range(self.num_ws):
            state = self.advance(layer, self.respond(layer, state, ws[:, layer]))
        return state[0]


class LayerwiseMapping:
    """The mapping network as a search runs it. Its weights must not change any more."""

    @torch.no_grad()
    def __init__(self, network: MappingNetwork) -> None:
        self._embed = _Affine(network.embed) if network.c_dim else None
        layers = (cast(FullyConnectedLayer, network.get_submodule(f"fc{i}")) for i in range(network.num_layers))
        self._layers = [_Affine(layer, SQRT2) for layer in layers]

    def __call__(self, z: Tensor, one_hot: Tensor) -> Tensor:
        """z (N, z_dim), one-hot classes (N, c_dim), which a network without classes ignores => w (N, w_dim)."""
        x = normalize_2nd_moment(filled(z))
        if self._embed is not None:
            x = torch.cat([x, normalize_2nd_moment(self._embed(filled(one_hot)))], dim=1)
        for layer in self._layers:
            x = F.leaky_relu_(layer(x), 0.2)
        return x[: len(z)]


class _Affine:
    """A dense layer up to its nonlinearity, with a gain."""

    def __init__(self, layer: FullyConnectedLayer, gain: float = 1.0) -> None:
        weight, bias = layer.weight * (layer.weight_gain * gain), layer.bias * (layer.bias_gain * gain)
        self._product = RowProduct(weight.t().contiguous(), bias)

    def __call__(self, w: Tensor) -> Tensor:
        return self._product(w)


class _ModulatedConvolution:
    """What the convolutions have in common: styles before, and demodulation, bias, noise and LeakyReLU after."""

    def __init__(self, layer: SynthesisLayer) -> None:
        self._styles = _Affine(layer.affine)
        self._squares = RowProduct(
            layer.weight.square().sum(dim=(2, 3)).t() / 2
        )  # the root of 2 is the gain of LeakyReLU
        noise = layer.noise_const * layer.noise_strength
        self._offset = ((noise[:, :, None] + layer.bias) * SQRT2).contiguous()
        self._clamp = layer.conv_clamp

    def finish(self, response: Tensor, styles: Tensor) -> Tensor:
        scale = (self._squares(styles.square()) + 0.5e-8).rsqrt()
        x = F.leaky_relu_(torch.addcmul(self._offset, response, scale[:, None, None, :], out=response), 0.2)
        return x if self._clamp is None else x.clamp_(-self._clamp, self._clamp)


class _ConstantConvolution(_ModulatedConvolution):
    """The first layer: on a constant input the convolution is one linear map of the styles."""

    def __init__(self, const: Tensor, layer: SynthesisLayer) -> None:
        super().__init__(layer)
        patches = F.unfold(const[None], 3, padding=1).view(len(const), 9, -1)
        responses = torch.einsum("ckp, ock -> cpo", patches, layer.weight.flatten(2)).flatten(1)
        self._responses = RowProduct(responses)

    def respond(self, _: Tensors, w: Tensor) -> Tensors:
        styles = self._styles(w)
        return self._responses(styles).view(len(w), *self._offset.shape), styles


class _Convolution(_ModulatedConvolution):
    """Any other layer."""

    def __init__(self, layer: SynthesisLayer) -> None:
        super().__init__(layer)
        self._convolve = _fast_convolution(layer) if layer.weight.device.type == "cpu" else _convolution(layer)

    def respond(self, state: Tensors, w: Tensor) -> Tensors:
        styles = self._styles(w)
        return self._convolve(state[0], styles), styles


class _Skip:
    """A ToRGBLayer, whose output is added to the image so far, doubled in resolution."""

    def __init__(self, block: SynthesisBlock) -> None:
        layer = block.torgb
        self._styles = _Affine(layer.affine, layer.weight_gain)
        self._weight = layer.weight.flatten(1)
        self._bias = layer.bias[:, None, None]
        self._clamp = layer.conv_clamp
        self._double = None if block.is_first else _Doubling(block.resample_filter, block.conv1.resolution // 2)

    def respond(self, x: Tensor, w: Tensor) -> Tensor:
        weight = self._styles(w)[:, None, :] * self._weight  # N O C
        rgb = pixels_times(x.flatten(1, 2), weight)
        return rgb.view(*rgb.shape[:2], *x.shape[1:3])

    def add(self, response: Tensor, image: Tensor | None = None) -> Tensor:
        rgb = response + self._bias
        if self._clamp is not None:
            rgb.clamp_(-self._clamp, self._clamp)
        if self._double is None or image is None:
            return rgb
        return rgb.add_(self._double(image))


class _Doubling:
    """`upsample2x` with a separable kernel, as products with a matrix (2 side, side) along both axes."""

    def __init__(self, kernel: Tensor, side: int) -> None:
        taps = kernel.sum(dim=0) * 2
        units = torch.eye(side, device=kernel.device)[:, None]
        matrix = F.conv_transpose1d(units, taps[None, None], stride=2, padding=1)[:, 0]
        self._product = RowProduct(matrix.contiguous())

    def __call__(self, image: Tensor) -> Tensor:
        """image (N, C, H, W) => (N, C, 2 H, 2 W)."""
        for _ in range(2):
            image = self._product(image.flatten(0, 2)).view(*image.shape[:3], -1).transpose(2, 3)
        return image


def _fast_convolution(layer: SynthesisLayer) -> Convolve:
    """For CPUs."""
    if layer.upsample:
        return UpsamplingConvolution(layer.weight, layer.resample_filter.sum(dim=0) * 2)
    return SameConvolution(layer.weight)


def _convolution(layer: SynthesisLayer) -> Convolve:
    """For any device. The maps are overwritten."""
    if not layer.upsample:
        weight = layer.weight.contiguous(memory_format=torch.channels_last)
        return lambda x, scale: F.conv2d(_scaled(x, scale), weight, padding=1).permute(0, 2, 3, 1)
    channels = len(layer.weight)
    weight = layer.weight.transpose(0, 1).contiguous(memory_format=torch.channels_last)
    kernel = (layer.resample_filter * 4).expand(channels, 1, 4, 4).contiguous()

    def convolve(x: Tensor, scale: Tensor) -> Tensor:
        y = F.conv_transpose2d(_scaled(x, scale), weight, stride=2)
        return F.conv2d(y, kernel, padding=1, groups=channels).permute(0, 2, 3, 1)

    return convolve


def _scaled(x: Tensor, scale: Tensor) -> Tensor:
    """As (N, C, H, W), in the same memory."""
    return x.mul_(scale[:, None, None, :]).permute(0, 3, 1, 2)
