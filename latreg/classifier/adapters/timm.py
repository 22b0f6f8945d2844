"""Image classifiers of timm, and what comes with them of how images are prepared."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.checkpoint import filled
from latreg.classifier.adapters.importing import extra
from latreg.classifier.adapters.inputs import MAX_SIDE, MIN_CROP, Inputs, Preset, numbers, per_channel
from latreg.classifier.adapters.module import answering, called
from latreg.config import DatasetConfig, TimmClassifierConfig
from latreg.data.images import quantize
from latreg.errors import LatregError, reason
from latreg.json_files import checked, read_names
from latreg.zoo import weights

INSTALL = "pip install 'latreg[timm]', with the torchvision that fits your torch"


def load_timm(config: TimmClassifierConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """A model of timm by its name; its id is made of the files, or of tensors and settings where timm fetched them.

    Its pretrained_cfg belongs to the weights that timm has under that name. Of other weights only a config.json that
    lies beside them, as timm writes it for the hub, says how their images are prepared.

    Raises:
        LatregError: timm or torchvision is missing, the model cannot be made or filled, or its images not prepared.
    """
    timm = extra("timm", "classifier=timm", INSTALL)
    path = None if config.weights is None else weights.resolve(config.weights, "classifier.weights")
    arguments: dict[str, Any] = {"model_name": config.network, "pretrained": path is None}
    if path is not None:
        arguments |= {"num_classes": len(dataset.class_names), "in_chans": config.channels or dataset.channels}
    network = called("classifier.network", timm.create_model, {**arguments, **config.network_args})
    if path is not None:
        files = {path.name: weights.sha256(path)}
        card = _card_beside(path)
        preset = Preset() if card is None else preset_of(read_names(card), card)
        files |= {} if card is None else {card.name: weights.sha256(card)}
        return Model(answering(filled(network, path, config.weights_key), device), files, preset)
    weights.check_finite(network.state_dict(), config.network)
    own: Any = network.pretrained_cfg or {}
    preset = (
        preset_of({"pretrained_cfg": own, "label_names": own.get("label_names")}, config.network) if own else Preset()
    )
    files = {
        f"the tensors of {config.network}": weights.sha256_of(network.state_dict()),
        f"the settings of {config.network}": hashlib.sha256(repr(preset).encode()).hexdigest(),
    }
    return Model(answering(network, device), files, preset)


def _card_beside(path: Path) -> Path | None:
    """The config.json that timm wrote beside weights."""
    card = path.with_name("config.json")
    return card if card.is_file() and isinstance(read_names(card).get("pretrained_cfg"), dict) else None


def preset_of(card: dict[str, Any], origin: str | Path) -> Preset:
    """What timm's description of a model says.

    Args:
        card: pretrained_cfg, and label_names where they are known.
        origin: what it is called in messages.

    Raises:
        LatregError: images cannot be prepared so.
    """
    transform = Transform.of(card["pretrained_cfg"], origin)
    names = card.get("label_names")
    return Preset(
        channels=transform.channels,
        class_names=tuple(map(str, names)) if isinstance(names, list | tuple) else None,
        preprocessor=transform,
        origin=transform.keys,
    )


@dataclass
class Transform:
    """timm's own transform of images in evaluation; fulfils `inputs.Preprocessor`.

    Attributes:
        origin: where the settings come from.
        settings: of `timm.data.create_transform`: size, mean, std, crop_pct, crop_mode and interpolation.
    """

    origin: str
    settings: dict[str, Any]
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    white: float = 1.0
    channel_order: str = "rgb"

    @classmethod
    def of(cls, pretrained_cfg: Any, origin: str | Path) -> "Transform":
        """Resolve what a pretrained_cfg says and leaves open as timm does.

        Raises:
            LatregError: timm is missing, a value cannot be used, or the input is no square.
        """
        data, name = extra("timm.data", f"the pretrained_cfg of {origin}", INSTALL), f"the pretrained_cfg of {origin}"
        own = {key: value for key, value in checked(pretrained_cfg, name).items() if value is not None}
        try:
            settings = data.resolve_data_config({**own, "mean": None, "std": None})
            channels, height, width = settings["input_size"]
        except Exception as error:  # it asserts
            raise LatregError(f"{name} cannot be used: {reason(error)}, got {own}") from error
        if height != width or height not in range(1, MAX_SIDE + 1) or channels not in range(1, 5):
            raise LatregError(f"input_size of {origin} must be channels and a square, got {settings['input_size']}")
        if not MIN_CROP <= numbers(f"crop_pct of {origin}", settings["crop_pct"])[0] <= 1 / MIN_CROP:
            raise LatregError(
                f"crop_pct of {origin} must be {MIN_CROP:g} .. {1 / MIN_CROP:g}, got {settings['crop_pct']}"
            )
        normalization = {key: own.get(key, settings[key]) for key in ("mean", "std")}
        mean, std = (
            per_channel(f"{key} of {origin}", numbers(f"{key} of {origin}", values), channels)
            for key, values in normalization.items()
        )
        settings |= {"mean": mean, "std": std}
        transform = cls(str(origin), settings, channels, height, mean, std)
        transform.pixels(torch.zeros(1, channels, height, height), transform.settings)
        return transform

    @property
    def keys(self) -> dict[str, str]:
        """What its values are called in messages."""
        keys = {"channels": "input_size", "size": "input_size", "mean": "mean", "std": "std"}
        return {name: f"{key} of {self.origin}" for name, key in keys.items()}

    def __call__(self, images: Tensor, inputs: Inputs) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => what timm makes of them, but for what `inputs` wants otherwise."""
        changed = {
            "input_size": (inputs.channels, inputs.size, inputs.size),
            "mean": tuple(value / inputs.white for value in inputs.mean),
            "std": tuple(value / inputs.white for value in inputs.std),
        }
        ordered = images.flip(1) if inputs.channel_order == "bgr" else images
        return self.pixels(ordered, {**self.settings, **changed})

    def pixels(self, images: Tensor, settings: dict[str, Any]) -> Tensor:
        """Let timm prepare images (N, C, H, W) in [0, 1], with these settings."""
        levels = quantize(images).permute(0, 2, 3, 1).cpu().numpy()
        pictures = [Image.fromarray(one[..., 0] if one.shape[2] == 1 else one) for one in levels]
        try:
            transform = extra("timm.data", self.origin, INSTALL).create_transform(**settings)
            return torch.stack([transform(picture) for picture in pictures]).to(images.device)
        except Exception as error:  # an unknown interpolation is a KeyError
            raise LatregError(
                f"timm cannot prepare images as {self.origin} says, with {settings}: {reason(error)}"
            ) from error
