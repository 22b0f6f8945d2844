"""The search as it is published: each query goes from z to one image and from one image to one answer.

The networks' arithmetic is that of the published code: the weights of a convolution are scaled by the styles of the
sample, and a grouped convolution applies them; feature maps are NCHW. The SUT is the network as it was trained, its
batch normalizations not melted into the convolutions.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.classifier.networks import Classifier
from latreg.data.images import quantize, to_unit
from latreg.generator.layers import SynthesisLayer, ToRGBLayer
from latreg.generator.networks import GeneratorNetwork, SynthesisBlock, SynthesisNetwork
from latreg.interfaces import Evaluation, Proposal, Source, Strategy
from latreg.search.criteria import BaselineGate
from latreg.search.engine import Appraiser, SourceSearch
from latreg.search.latent import layer_alphas, mix, truncate
from latreg.search.recipes import partner_of
from latreg.search.truncation import Truncation


class NaiveNetworks:
    """Generator and classifier as they were trained: nothing is remembered, folded or compiled.

    Args:
        network, classifier: those of the engine's generator and SUT.
        center: what truncation shrinks towards, "class" or "global".
    """

    def __init__(self, network: GeneratorNetwork, classifier: Classifier, center: str) -> None:
        self.network = copy.deepcopy(network)
        for parameter in self.network.parameters():
            parameter.data = parameter.data.contiguous()
        self.classifier = classifier
        mapping = network.mapping
        self.centers = mapping.w_avg_class if center == "class" else mapping.w_avg.expand(mapping.c_dim, -1)

    @torch.no_grad()
    def latent(self, source: Source, psi: float) -> Tensor:
        """w (1, num_ws, w_dim)."""
        device = self.centers.device
        z = np.random.RandomState(source.z_seed).randn(1, self.network.mapping.z_dim).astype(np.float32)
        c = F.one_hot(torch.tensor([source.label], device=device), self.network.mapping.c_dim).float()
        w = self.network.mapping(torch.from_numpy(z).to(device), c)[:, None].repeat(1, self.network.num_ws, 1)
        return truncate(w, self.centers[source.label][None], torch.tensor([psi], device=device), None)

    @torch.no_grad()
    def show(self, w: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """w (N, num_ws, w_dim) => images (N, C, H, W) uint8, and what the classifier says of them, (N, K)."""
        images = quantize(synthesize(self.network.synthesis, w) * 0.5 + 0.5)
        probabilities = self.classifier(to_unit(images)).softmax(dim=1)
        return images.cpu().numpy(), probabilities.cpu().numpy()


class NaiveSearch:
    """Runs a strategy source by source, proposal by proposal."""

    def __init__(
        self,
        networks: NaiveNetworks,
        appraise: Appraiser,
        truncation: Truncation,
        strategy: Strategy,
        max_queries: int,
    ) -> None:
        self.networks = networks
        self.appraise = appraise
        self.truncation = truncation
        self.strategy = strategy
        self.max_queries = max_queries

    def run(self, sources: Sequence[Source]) -> Iterator[SourceSearch]:
        """Search the sources, one after another."""
        for source in sources:
            search = SourceSearch(source, self.max_queries)
            search.begin(self.truncation, BaselineGate(), self.strategy)
            while not search.done:
                if search.ask.appraisal:
                    search.tell(self.appraise([search.ask.appraisal])[0])
                else:
                    search.tell([self.evaluate(source, proposal) for proposal in search.ask.proposals])
            yield search

    def evaluate(self, source: Source, proposal: Proposal) -> Evaluation:
        """Render one image and ask the SUT about it."""
        w = self.networks.latent(source, proposal.psi)
        if (partner := partner_of(proposal)) is not None:
            alphas = layer_alphas([proposal], self.networks.network.num_ws)
            w = mix(w, self.networks.latent(partner, proposal.psi), alphas.to(w.device))
        (image,), (probabilities,) = self.networks.show(w)
        return Evaluation(proposal, source.label, image, probabilities)


def synthesize(network: SynthesisNetwork, ws: Tensor) -> Tensor:
    """ws (N, num_ws, w_dim) => images (N, C, H, W) in [-1, 1], in the published form."""
    x = image = torch.empty(0)
    for index, resolution in enumerate(network.resolutions):
        block = cast(SynthesisBlock, network.get_submodule(f"b{resolution}"))
        if index == 0:
            x = block.const[None].repeat(len(ws), 1, 1, 1)
        else:
            x = _synthesis_layer(block.conv0, x, ws[:, 2 * index - 1])
        x = _synthesis_layer(block.conv1, x, ws[:, 2 * index])
        rgb = _skip_output(block.torgb, x, ws[:, 2 * index + 1])
        image = rgb if index == 0 else _upsample(image, block.resample_filter) + rgb
    return image


def _synthesis_layer(layer: SynthesisLayer, x: Tensor, w: Tensor) -> Tensor:
    weight = layer.weight * layer.affine(w)[:, None, :, None, None]  # N O I 3 3
    weight = weight * (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    n, out_channels, in_channels = weight.shape[:3]
    x = x.reshape(1, n * in_channels, *x.shape[2:])
    if layer.upsample:
        weight = weight.transpose(1, 2).reshape(n * in_channels, out_channels, 3, 3)
        x = _filter(F.pad(F.conv_transpose2d(x, weight, stride=2, groups=n), (1, 1, 1, 1)), layer.resample_filter)
    else:
        x = F.conv2d(x, weight.reshape(n * out_channels, in_channels, 3, 3), padding=1, groups=n)
    x = x.reshape(n, out_channels, *x.shape[2:]) + layer.noise_const * layer.noise_strength
    x = F.leaky_relu(x + layer.bias[:, None, None], 0.2) * math.sqrt(2)
    return x if layer.conv_clamp is None else x.clamp(-layer.conv_clamp, layer.conv_clamp)


def _skip_output(layer: ToRGBLayer, x: Tensor, w: Tensor) -> Tensor:
    weight = layer.weight * (layer.affine(w) * layer.weight_gain)[:, None, :, None, None]
    n, out_channels, in_channels = weight.shape[:3]
    x = x.reshape(1, n * in_channels, *x.shape[2:])
    x = F.conv2d(x, weight.reshape(n * out_channels, in_channels, 1, 1), groups=n)
    x = x.reshape(n, out_channels, *x.shape[2:]) + layer.bias[:, None, None]
    return x if layer.conv_clamp is None else x.clamp(-layer.conv_clamp, layer.conv_clamp)


def _upsample(image: Tensor, kernel: Tensor) -> Tensor:
    n, channels, height, width = image.shape
    spread = F.pad(image.reshape(n, channels, height, 1, width, 1), (0, 1, 0, 0, 0, 1))  # zeros in between
    return _filter(F.pad(spread.reshape(n, channels, 2 * height, 2 * width), (2, 1, 2, 1)), kernel)


def _filter(x: Tensor, kernel: Tensor) -> Tensor:
    """The low-pass filter with a gain of 4 on each channel."""
    channels = x.shape[1]
    return F.conv2d(x, (kernel * 4)[None, None].repeat(channels, 1, 1, 1), groups=channels)
