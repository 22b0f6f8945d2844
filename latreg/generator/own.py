"""A generator of the user's own: made by its import path, and looked at before a search relies on it."""

import inspect
from typing import Any

import torch
from torch import Tensor

from latreg.config import DatasetConfig, OwnGeneratorConfig
from latreg.errors import LatregError
from latreg.import_paths import named_by
from latreg.interfaces import Generator

RANGE = (-0.2, 1.2)  # of images in about [0, 1]


def load_own_generator(config: OwnGeneratorConfig, dataset: DatasetConfig, device: torch.device) -> Generator:
    """Call `_target_(**args, device=device)` and check that the result fulfils the Generator protocol.

    Raises:
        LatregError: it cannot be found or called so, it fails, or an attribute, shape, range or value is not what a
            search needs.
    """
    try:
        target = named_by(config._target_)
        inspect.signature(target).bind(**config.args, device=device)
    except Exception as error:  # of whatever the module raises where it is imported
        arguments = ", ".join([*config.args, "device"])
        raise LatregError(
            f"generator._target_ must be the import path of a callable that takes {arguments}, got {config._target_}: "
            f"{error}"
        ) from error
    try:
        generator: Generator = target(**config.args, device=device)
        _check_attributes(generator, config._target_, len(dataset.class_names))
        _check_images(generator, config._target_, dataset)
    except LatregError:
        raise
    except Exception as error:  # code of somebody else's may raise anything
        reason = str(error).split("\n", 1)[0]
        raise LatregError(
            f"{config._target_} was expected to give two images, but it failed: {type(error).__name__}: {reason}"
        ) from error
    return generator


def _check_attributes(generator: Generator, name: str, classes: int) -> None:
    kinds = {"id": str, "conditional": bool, "num_classes": int, "num_ws": int, "z_dim": int}
    for key, kind in {**kinds, "w_avg": Tensor, "w_avg_class": Tensor}.items():
        value = getattr(generator, key, None)
        if not isinstance(value, kind):
            raise LatregError(f"{name} must have the attribute {key}, a {kind.__name__}, got {type(value).__name__}")
    if generator.num_classes != classes:
        raise LatregError(f"{name} must have num_classes {classes}, got {generator.num_classes}")
    _check_shape(f"w_avg_class of {name}", generator.w_avg_class, (classes, *generator.w_avg.shape))


@torch.inference_mode()
def _check_images(generator: Generator, name: str, dataset: DatasetConfig) -> None:
    device = generator.w_avg.device
    z = torch.randn(2, generator.z_dim, generator=torch.Generator().manual_seed(0)).to(device)
    w = generator.map(z, torch.tensor([0, generator.num_classes - 1], device=device))
    _check_shape(f"map of {name}", w, (2, generator.num_ws, *generator.w_avg.shape))
    images = generator.synthesize(w)
    _check_shape(f"synthesize of {name}", images, (2, dataset.channels, dataset.resolution, dataset.resolution))
    low, high = float(images.min()), float(images.max())
    if not RANGE[0] <= low <= high <= RANGE[1]:
        raise LatregError(f"synthesize of {name} must return images in [0, 1], got values from {low:.3g} to {high:.3g}")
    if not torch.equal(generator.synthesize(w), images):
        raise LatregError(f"synthesize of {name} must return the same images for the same w: no noise, eval mode")


def _check_shape(what: str, value: Any, wanted: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor) or tuple(value.shape) != wanted:
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise LatregError(f"{what} must have the shape {wanted}, got {found}")
