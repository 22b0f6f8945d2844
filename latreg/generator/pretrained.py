"""A trained StyleGAN2 as the search sees it."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.config import DatasetConfig, GeneratorConfig
from latreg.errors import LatregError
from latreg.generator.layerwise import LayerwiseMapping, LayerwiseSynthesis, Tensors
from latreg.generator.networks import GeneratorNetwork
from latreg.zoo import weights


class StyleGAN2:
    """Fulfils the Generator protocol of latreg.interfaces and the LayerwiseGenerator protocol of latreg.search.reuse.

    Args:
        network: with its means of w. Its weights must not change any more.
        id: sha256 of the weights.
        num_classes: of the data set; None = those of the network. A network without classes pays no attention to them.
    """

    def __init__(self, network: GeneratorNetwork, id: str, num_classes: int | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self._mapping = LayerwiseMapping(network.mapping)
        self._synthesis = LayerwiseSynthesis(network.synthesis)
        self.map_sizes = self._synthesis.map_sizes
        self.id = id
        self.conditional = network.mapping.c_dim > 0
        self.num_classes = num_classes or network.mapping.c_dim
        self.num_ws = network.num_ws
        self.z_dim = network.mapping.z_dim
        self.w_avg = network.mapping.w_avg
        self.w_avg_class = network.mapping.w_avg_class.expand(self.num_classes, -1)

    @torch.inference_mode()
    def map(self, z: Tensor, c: Tensor) -> Tensor:
        """z (N, z_dim), class numbers c (N,) => w (N, L, w_dim)."""
        w = self._mapping(z, F.one_hot(c, self.num_classes).float())
        return w[:, None].expand(-1, self.num_ws, -1)

    @torch.inference_mode()
    def synthesize(self, w: Tensor) -> Tensor:
        """w (N, L, w_dim) => images (N, C, H, W), about [0, 1]; quantization clamps them."""
        return self._synthesis(w)

    def respond(self, layer: int, state: Tensors, w: Tensor) -> Tensors:
        """What a layer makes of a state up to its first nonlinearity; affine in w (N, w_dim)."""
        return self._synthesis.respond(layer, state, w)

    def advance(self, layer: int, response: Tensors) -> Tensors:
        """The state that enters the next layer; after the last one the images."""
        return self._synthesis.advance(layer, response)


def network_arguments(config: GeneratorConfig, dataset: DatasetConfig) -> dict[str, Any]:
    """The arguments of GeneratorNetwork for a data set."""
    return {
        "z_dim": config.z_dim,
        "w_dim": config.w_dim,
        "c_dim": len(dataset.class_names),
        "img_resolution": dataset.resolution,
        "img_channels": dataset.channels,
        "channel_base": config.channel_base,
        "channel_max": config.channel_max,
        "mapping_layers": config.mapping_layers,
        "conv_clamp": config.conv_clamp,
    }


def load_generator(config: GeneratorConfig, dataset: DatasetConfig, device: torch.device) -> StyleGAN2:
    """Read generator weights; their own description says which architecture they are.

    Raises:
        LatregError: the file is missing, damaged, no generator, or made for other images or classes.
    """
    path = weights.resolve(config.weights, "generator.weights")
    network, arguments = read_network(path)
    classes = len(dataset.class_names)
    for key, wanted in (
        ("c_dim", classes if arguments["c_dim"] else 0),
        ("img_resolution", dataset.resolution),
        ("img_channels", dataset.channels),
    ):
        if arguments[key] != wanted:
            raise LatregError(f"generator.weights for {dataset.name} must have {key} {wanted}, got {arguments[key]}")
    made_for = weights.read_card(path).get("dataset", dataset.name)
    if dataset.path is None and made_for != dataset.name:  # what one's own images are called may change
        raise LatregError(
            f"generator.weights for {dataset.name} must be trained on it, got weights of {made_for} in {path}"
        )
    return StyleGAN2(network.to(device), weights.sha256(path), classes)


def read_network(path: Path) -> tuple[GeneratorNetwork, dict[str, Any]]:
    """The network in a weights file, and the arguments that it was made with.

    Raises:
        LatregError: the file is damaged, or holds no generator.
    """
    state, description = weights.load(path, "generator")
    arguments = description["arguments"]
    return weights.built(lambda: GeneratorNetwork(**arguments), state, path), arguments
