"""Train a classifier, and write its weights with a model card."""

import copy
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger

from latreg.classifier.module import ClassifierModule
from latreg.classifier.networks import Classifier
from latreg.classifier.sut import KIND, TorchSUT, accuracy
from latreg.config import Config
from latreg.data.images import ImageSet, to_unit
from latreg.errors import LatregError
from latreg.measures.metrics import wilson
from latreg.runs.files import writing
from latreg.runs.provenance import command, versions
from latreg.training.datamodule import DataModule
from latreg.training.fitting import fit
from latreg.zoo import weights

log = logging.getLogger(__name__)

WHITENING_IMAGES = 5000  # give the patches' covariance


def train_classifier(cfg: Config, run_dir: Path, logger: Logger | None, data: DataModule) -> dict[str, Any]:
    """Train `cfg.classifier` on the data and write its weights with a model card into run_dir.

    The weights are stored as float16 where that costs no validation accuracy; the test images are looked at once, with
    the weights as stored. A checkpoint is kept once per epoch; with `cfg.resume` the training goes on from it, if there
    is one, and gives the very weights that an uninterrupted one gives.

    Args:
        cfg: dataset, classifier, trainer, run_seed and resume are used.
        run_dir: folder of the run; where there are several devices, with the run's config.yaml.
        logger: for Lightning; None = nothing is logged.
        data: of `cfg.dataset` and `cfg.run_seed`; the size of its batches is set here.

    Returns:
        Accuracy on validation and test images with intervals, images_seen, seconds, weights; {} on ranks other than 0.

    Raises:
        LatregError: the hardware is not there, the batch cannot be shared equally among the devices, or the
            checkpoint is of another recipe.
    """
    started = time.monotonic()
    L.seed_everything(cfg.run_seed, verbose=False)
    module = _module(cfg, data.split("train"))
    recipe = cfg.classifier.training
    trainer = fit(module, data, cfg, run_dir, logger, epochs=recipe.epochs, batch_size=recipe.batch_size)
    if not trainer.is_global_zero:
        return {}
    path, device = weights_file(cfg, run_dir), trainer.strategy.root_device
    stored, half = _as_stored(module.network, data.split("validation"), device)
    images_seen = trainer.global_step * recipe.batch_size
    metrics = {"images_seen": images_seen, **_measure(stored, data, device)}
    card = {**_card(cfg, path.stem, half), **metrics}
    with writing(path):
        weights.save(path, stored.state_dict(), _description(cfg), card, half)
    log.info("test accuracy %.4f, weights in %s", metrics["test_accuracy"], path)
    return {**metrics, "weights": str(path), "seconds": round(time.monotonic() - started, 1)}


def weights_file(cfg: Config, run_dir: Path) -> Path:
    """The file that a training writes: named as `cfg.classifier.weights` is, so that it can be copied there."""
    named = cfg.classifier.weights
    name = weights.name_of(named) if named else f"{cfg.dataset.name}_{cfg.classifier.name}"
    return run_dir / f"{name}.safetensors"


def _module(cfg: Config, train: ImageSet) -> ClassifierModule:
    recipe = asdict(cfg.classifier.training)
    epochs, batch_size = recipe.pop("epochs"), recipe.pop("batch_size")
    if len(train) < batch_size:
        raise LatregError(
            f"classifier.training.batch_size must be at most the {len(train)} training images, got {batch_size}"
        )
    images = to_unit(train.images)
    module = ClassifierModule(
        network=cfg.classifier.network,
        network_args=dict(cfg.classifier.network_args),
        channels=cfg.dataset.channels,
        num_classes=len(cfg.dataset.class_names),
        mean=images.mean(dim=(0, 2, 3)).tolist(),
        std=images.std(dim=(0, 2, 3)).tolist(),
        max_steps=epochs * (len(train) // batch_size),
        run_seed=cfg.run_seed,
        **recipe,
    )
    module.network.whiten(images[:WHITENING_IMAGES])
    return module


def _as_stored(network: Classifier, validation: ImageSet, device: torch.device) -> tuple[Classifier, bool]:
    """The network as the file will give it back, and whether that is float16: where validation is not the worse."""
    rounded = _rounded_to_half(network)
    full, half = (accuracy(TorchSUT(n, "", device, {}), validation) for n in (network, rounded))
    return (rounded, True) if half >= full else (network, False)


def _measure(network: Classifier, data: DataModule, device: torch.device) -> dict[str, Any]:
    """Accuracy on the validation and test images."""
    metrics: dict[str, Any] = {}
    for name in ("validation", "test"):
        images = data.split(name)
        share = accuracy(TorchSUT(network, "", device, {}), images)
        metrics[f"{name}_accuracy"] = share
        metrics[f"{name}_accuracy_ci95"] = wilson(round(share * len(images)), len(images))
        metrics[f"{name}_images"] = len(images)
    return metrics


def _rounded_to_half(network: Classifier) -> Classifier:
    """A copy whose floats are what a float16 file gives back."""
    rounded = copy.deepcopy(network)
    for tensor in rounded.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
    return rounded


def _description(cfg: Config) -> dict[str, Any]:
    """What `load_sut` needs to build the network again."""
    return {
        "kind": KIND,
        "network": cfg.classifier.network,
        "network_args": dict(cfg.classifier.network_args),
        "channels": cfg.dataset.channels,
        "num_classes": len(cfg.dataset.class_names),
    }


def _card(cfg: Config, name: str, half: bool) -> dict[str, Any]:
    return {
        **_description(cfg),
        "name": name,
        "dataset": cfg.dataset.name,
        "resolution": cfg.dataset.resolution,
        "classes": list(cfg.dataset.class_names),
        "recipe": asdict(cfg.classifier.training),
        "run_seed": cfg.run_seed,
        "command": command(cfg),
        "stored_as": "float16" if half else "float32",
        "versions": versions(),
    }
