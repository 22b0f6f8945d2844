"""Networks as torch modules of the user's own code."""

from typing import Any

import torch
from torch import nn

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.checkpoint import filled
from latreg.classifier.adapters.code import code_files
from latreg.classifier.adapters.importing import imported
from latreg.config import DatasetConfig, TorchClassifierConfig
from latreg.errors import LatregError, reason
from latreg.zoo import weights


def load_torch(config: TorchClassifierConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """A module by its import path with a state_dict; its id is made of the file and the code of the module.

    Raises:
        LatregError: the module cannot be made, or the file is not there, is damaged or of another architecture.
    """
    make = imported("classifier.network", config.network)
    path = weights.resolve(config.weights, "classifier.weights")
    network = filled(called("classifier.network", make, config.network_args), path, config.weights_key)
    files = {path.name: weights.sha256(path), **code_files(make, config.network)}
    return Model(answering(network, device), files)


def called(setting: str, make: Any, arguments: dict[str, Any]) -> nn.Module:
    """What code of somebody else's makes.

    Raises:
        LatregError: it fails, or makes something else than a module.
    """
    try:
        network = make(**arguments)
    except Exception as error:  # it may raise anything
        raise LatregError(f"{setting} cannot be made with {arguments}: {reason(error)}") from error
    if not isinstance(network, nn.Module):
        raise LatregError(f"{setting} must make a torch.nn.Module, got a {type(network).__name__}")
    return network


def answering(network: nn.Module, device: torch.device) -> Any:
    """The network in eval mode on the device; it takes images and gives a tensor."""
    return network.to(device).eval().requires_grad_(False)
