"""Networks as torch modules: of the user's own code, or of timm."""

import hashlib
from typing import Any

import torch
from torch import nn

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.checkpoint import filled
from latreg.classifier.adapters.code import code_files
from latreg.classifier.adapters.importing import extra, imported
from latreg.classifier.adapters.inputs import Preset
from latreg.config import DatasetConfig, TimmClassifierConfig, TorchClassifierConfig
from latreg.errors import LatregError, reason
from latreg.zoo import weights


def load_torch(config: TorchClassifierConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """A module by its import path with a state_dict; its id is made of the file and the code of the module.

    Raises:
        LatregError: the module cannot be made, or the file is not there, is damaged or of another architecture.
    """
    make = imported("classifier.network", config.network)
    path = weights.resolve(config.weights, "classifier.weights")
    network = filled(_called("classifier.network", make, config.network_args), path, config.weights_key)
    files = {path.name: weights.sha256(path), **code_files(make, config.network)}
    return Model(answering(network, device), files)


def load_timm(config: TimmClassifierConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """A model of timm by its name; its id is made of the file, or of tensors and settings where timm fetched them.

    Raises:
        LatregError: timm or torchvision is missing, or the model cannot be made or filled.
    """
    timm = extra("timm", "classifier=timm", "pip install timm, with the torchvision that fits your torch")
    path = None if config.weights is None else weights.resolve(config.weights, "classifier.weights")
    arguments: dict[str, Any] = {"model_name": config.network, "pretrained": path is None}
    if path is not None:
        arguments |= {"num_classes": len(dataset.class_names), "in_chans": config.channels or dataset.channels}
    network = _called("classifier.network", timm.create_model, {**arguments, **config.network_args})
    preset = _preset_of_timm(network, path is None)
    if path is not None:
        network = filled(network, path, config.weights_key)
        return Model(answering(network, device), {path.name: weights.sha256(path)}, preset)
    weights.check_finite(network.state_dict(), config.network)
    files = {
        f"the tensors of {config.network}": weights.sha256_of(network.state_dict()),
        f"the settings of {config.network}": hashlib.sha256(repr(preset).encode()).hexdigest(),
    }
    return Model(answering(network, device), files, preset)


def _preset_of_timm(network: nn.Module, pretrained: bool) -> Preset:
    """Weights of the user's own were trained with whatever normalization the user knows; timm's come with theirs."""
    own: Any = network.pretrained_cfg
    if not pretrained or not own:
        return Preset()
    channels, size, _ = own.get("input_size") or (None, None, None)
    names = own.get("label_names")
    return Preset(channels, size, own.get("mean"), own.get("std"), tuple(names) if names else None)


def _called(setting: str, make: Any, arguments: dict[str, Any]) -> nn.Module:
    try:
        network = make(**arguments)
    except Exception as error:  # code of somebody else's may raise anything
        raise LatregError(f"{setting} cannot be made with {arguments}: {reason(error)}") from error
    if not isinstance(network, nn.Module):
        raise LatregError(f"{setting} must make a torch.nn.Module, got a {type(network).__name__}")
    return network


def answering(network: nn.Module, device: torch.device) -> Any:
    """The network in eval mode on the device; it takes images and gives a tensor."""
    return network.to(device).eval().requires_grad_(False)
