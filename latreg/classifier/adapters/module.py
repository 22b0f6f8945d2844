"""Networks as torch modules: of the user's own code, or of timm."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.importing import extra, imported
from latreg.classifier.adapters.inputs import Preset
from latreg.config import DatasetConfig, TimmClassifierConfig, TorchClassifierConfig
from latreg.errors import LatregError
from latreg.zoo import weights

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # under which checkpoints keep a state_dict
PREFIXES = ("module.", "_orig_mod.")  # that DataParallel and torch.compile put before names


def load_torch(config: TorchClassifierConfig, device: torch.device) -> Model:
    """A module by its import path with a state_dict; its id is the sha256 of the file.

    Raises:
        LatregError: the module cannot be made, or the file is not there, is damaged or of another architecture.
    """
    make = imported("classifier.network", config.network)
    path = weights.resolve(config.weights, "classifier.weights")
    network = _called("classifier.network", make, config.network_args)
    return Model(answering(filled(network, path), device), weights.sha256(path))


def load_timm(config: TimmClassifierConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """A model of timm by its name. Its id is the sha256 of the file, or of its tensors where timm fetched them.

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
        return Model(answering(filled(network, path), device), weights.sha256(path), preset)
    return Model(answering(network, device), weights.sha256_of(network.state_dict()), preset)


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
        raise LatregError(f"{setting} cannot be made with {arguments}: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise LatregError(f"{setting} must make a torch.nn.Module, got a {type(network).__name__}")
    return network


def answering(network: nn.Module, device: torch.device) -> Any:
    """The network in eval mode on the device; it takes images and gives a tensor."""
    return network.to(device).eval().requires_grad_(False)


def filled(network: nn.Module, path: Path) -> nn.Module:
    """The network with the state_dict of a file; names and shapes must match exactly.

    Raises:
        LatregError: the file is damaged, holds more than tensors, or those of another architecture.
    """
    weights.load_into(network, read_state(path), path)
    return network


def read_state(path: Path) -> dict[str, Tensor]:
    """The state_dict in a .safetensors file, or in one of torch.save, of which nothing but tensors is unpickled.

    Raises:
        LatregError: there is none.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a dozen types, IndexError and AssertionError among them
        reason = str(error).split("\n", 1)[0].split(" (1)", 1)[0]
        raise LatregError(
            f"expected a state_dict in {path}, as torch.save(network.state_dict(), ..) or safetensors write it, but "
            f"nothing else than tensors is read from a file: {reason}"
        ) from error
    inner = [content[name] for name in WRAPPERS if isinstance(content, dict) and isinstance(content.get(name), dict)]
    state = inner[0] if inner else content
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise LatregError(f"expected a state_dict in {path}, names with tensors, got {_shape_of(content)}")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _shape_of(content: Any) -> str:
    if isinstance(content, dict):
        return f"a dict with the keys {', '.join(map(str, list(content)[:8])) or '(none)'}"
    return f"a {type(content).__name__}"
