"""What a job says of the networks that it loads: what their weights files describe, whatever recipe was named."""

import logging
from collections.abc import Mapping
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from latreg.config import ClassifierTrainingConfig, GeneratorTrainingConfig
from latreg.zoo import weights

log = logging.getLogger(__name__)

LOADED = {"search": ("generator", "classifier"), "evaluate_generator": ("generator",)}  # groups of settings by stage
SIZES = ("z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max", "conv_clamp")  # of a generator
NOT_TRAINED = {
    "generator": GeneratorTrainingConfig(total_images=0),
    "classifier": ClassifierTrainingConfig(epochs=0, learning_rate=0.0),
}


def describe_networks(cfg: DictConfig) -> None:
    """Put what the weights describe in the place of the recipes, for those networks that the stage loads.

    Networks that were made elsewhere are left alone, as are weights of another kind, which loading refuses.

    Raises:
        LatregError: there is no such weights file, or it was not written by latreg.
    """
    for group in LOADED.get(cfg.stage, ()):
        if "_target_" not in cfg[group] and "kind" not in cfg[group]:
            _describe(cfg[group], group)


def _describe(settings: DictConfig, group: str) -> None:
    description = weights.read_description(weights.resolve(settings.weights, f"{group}.weights"))
    if description.get("kind") != group:
        return
    network, recipe = _network(description), cast(dict[str, Any], OmegaConf.to_container(settings))
    if network != {key: recipe[key] for key in network}:
        log.info(
            f"{group}={settings.name} is a recipe for training; the weights {settings.weights} hold another network, "
            f"which is the one that is used: {', '.join(f'{key} {value}' for key, value in network.items())}"
        )
    for key, value in network.items():
        settings[key] = value
    settings.name = weights.name_of(settings.weights)
    settings.training = NOT_TRAINED[group]


def _network(description: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that tell the architecture."""
    if description["kind"] == "classifier":
        return {key: description[key] for key in ("network", "network_args")}
    return {key: value for key, value in description["arguments"].items() if key in SIZES}
