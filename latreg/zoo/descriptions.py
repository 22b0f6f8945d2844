"""What weights files and cards say, as schemas: nothing is built, multiplied or compared before it fits them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latreg.errors import LatregError
from latreg.json_files import checked
from latreg.settings import setting

WIDEST = 2**14  # channels, sizes of latents, classes: as many as a description may claim
DEEPEST = 64  # layers
REPEATED = ("blocks", "convs", "layers")  # network_args that count layers


@dataclass
class ClassifierDescription:
    """Arguments of `latreg.classifier.networks.build`."""

    network: str
    channels: int = setting(0, low=1, high=WIDEST)
    num_classes: int = setting(0, low=1, high=WIDEST)
    network_args: dict[str, Any] = setting(factory=dict)


@dataclass
class VAEDescription:
    """Arguments of `latreg.validity.vae.VAE`."""

    channels: int = setting(0, low=1, high=WIDEST)
    resolution: int = setting(0, low=1, high=WIDEST)
    latent_dim: int = setting(0, low=1, high=WIDEST)
    widths: list[int] = setting(factory=list, low=1, high=WIDEST, shortest=1, longest=14, of="widths")


@dataclass
class DensityDescription(ClassifierDescription):
    """Arguments of `latreg.validity.density.DensityNetwork`, and of its classifier."""

    features: int = setting(0, low=1, high=WIDEST)
    axes: int = setting(0, low=1, high=WIDEST)


@dataclass
class GeneratorArguments:
    """Arguments of `latreg.generator.networks.GeneratorNetwork`."""

    z_dim: int = setting(0, low=1, high=WIDEST)
    w_dim: int = setting(0, low=1, high=WIDEST)
    c_dim: int = setting(0, low=0, high=WIDEST)
    img_resolution: int = setting(0, choices=tuple(2**i for i in range(3, 12)))
    img_channels: int = setting(0, low=1, high=WIDEST)
    channel_base: int = setting(0, low=1, high=2**24)
    channel_max: int = setting(0, low=1, high=WIDEST)
    mapping_layers: int = setting(0, low=1, high=DEEPEST)
    conv_clamp: float | None = setting(None, above=0)


@dataclass
class GeneratorDescription:
    """Of a generator."""

    arguments: GeneratorArguments


DESCRIPTIONS = {
    "classifier": ClassifierDescription,
    "vae": VAEDescription,
    "density": DensityDescription,
    "generator": GeneratorDescription,
}


@dataclass
class Guide:
    """A classifier that guided the training of a generator."""

    name: str
    sha256: str


@dataclass
class Card:
    """What is read again of the card beside a weights file; each may be missing."""

    dataset: str
    test_accuracy: float = setting(0.0, low=0, high=1)
    guides: list[Guide] = setting(factory=list)


def check_description(content: dict[str, Any], source: str) -> dict[str, Any]:
    """What a weights file says of its network, if it is of a kind that latreg has, or of none.

    Raises:
        LatregError: a value is missing, of another type or out of its range.
    """
    kind = content.get("kind")
    schema = DESCRIPTIONS.get(kind) if isinstance(kind, str) else None
    checked(content, source, schema)
    if schema is GeneratorDescription:
        _check_names(content["arguments"], GeneratorArguments, f"arguments of {source}")
    if schema in (ClassifierDescription, DensityDescription):
        _check_sizes(content["network_args"], f"network_args of {source}")
    return content


def _check_names(content: Mapping[str, Any], schema: type[Any], source: str) -> None:
    if unknown := sorted(content.keys() - schema.__dataclass_fields__.keys()):
        raise LatregError(f"expected no {unknown[0][:100]} in {source}, which latreg does not know")


def _check_sizes(arguments: Mapping[str, Any], source: str) -> None:
    """Of a network, whose names and numbers of arguments its own function knows."""
    for name, value in arguments.items():
        sizes = value if isinstance(value, list) else [value]
        most = DEEPEST if name in REPEATED else WIDEST
        if len(sizes) > DEEPEST or not all(type(size) is int and 1 <= size <= most for size in sizes):
            raise LatregError(
                f"{name[:100]} in {source} must be a whole number of 1 to {most}, or up to {DEEPEST} of them, "
                f"got {str(value)[:100]}"
            )
