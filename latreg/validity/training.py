"""Train a validity model, and write its weights with a model card."""

import copy
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger

from latreg.config import Config
from latreg.data.images import to_unit
from latreg.errors import LatregError
from latreg.measures.metrics import wilson
from latreg.runs.files import writing
from latreg.runs.provenance import command, versions
from latreg.training.datamodule import DataModule
from latreg.training.fitting import fit
from latreg.validity.module import VAEModule
from latreg.validity.vae import HELD_OUT, KIND, VAE, ValidityModel
from latreg.zoo import weights

log = logging.getLogger(__name__)

BATCH = 100  # images per forward pass when errors are measured
NOISE = 0.2  # standard deviation of the noise that the model should notice


def train_validity(cfg: Config, run_dir: Path, logger: Logger | None, data: DataModule) -> dict[str, Any]:
    """Train the VAE of `cfg.validity` on the data; its weights and a model card are written into run_dir.

    The threshold comes from the validation images, which it is not trained on; the test images tell how often real
    images are flagged, and how often the same with Gaussian noise are.

    Args:
        cfg: dataset, validity, trainer, run_seed and resume are used.
        run_dir: folder of the run.
        logger: for Lightning; None = nothing is logged.
        data: of `cfg.dataset` and `cfg.run_seed`; the size of its batches is set here.

    Returns:
        The threshold, the rate of false alarms with its interval, and where the weights are; {} on ranks other than 0.

    Raises:
        LatregError: see `fit`.
    """
    started = time.monotonic()
    L.seed_everything(cfg.run_seed, verbose=False)
    recipe, images = cfg.validity.training, len(data.split("train"))
    if images < recipe.batch_size:
        raise LatregError(
            f"validity.training.batch_size must be at most the {images} training images, got {recipe.batch_size}"
        )
    module = VAEModule(
        **_architecture(cfg),
        max_steps=recipe.epochs * (images // recipe.batch_size),
        learning_rate=recipe.learning_rate,
        run_seed=cfg.run_seed,
    )
    trainer = fit(module, data, cfg, run_dir, logger, epochs=recipe.epochs, batch_size=recipe.batch_size)
    if not trainer.is_global_zero:
        return {}
    network = copy.deepcopy(module.network).half().float()  # as the file will give it back
    held_out = _errors(network, data, "validation").sort().values.half().float()
    metrics = {"images_seen": trainer.global_step * recipe.batch_size, **_measure(cfg, network, held_out, data)}
    path = run_dir / f"{cfg.dataset.name}_vae.safetensors"
    description = {"kind": KIND, **_architecture(cfg)}
    with writing(path):
        weights.save(path, {**network.state_dict(), HELD_OUT: held_out}, description, _card(cfg) | metrics, half=True)
    log.info("flags %.4f of the test images, weights in %s", metrics["false_alarm_rate"], path)
    return {**metrics, "weights": str(path), "seconds": round(time.monotonic() - started, 1)}


def _architecture(cfg: Config) -> dict[str, Any]:
    """What `load_validity_model` needs to build the network again."""
    recipe = cfg.validity.training
    return {
        "channels": cfg.dataset.channels,
        "resolution": cfg.dataset.resolution,
        "latent_dim": recipe.latent_dim,
        "widths": list(recipe.widths),
    }


def _errors(network: VAE, data: DataModule, split: str, noise: float = 0.0) -> torch.Tensor:
    images = to_unit(data.split(split).images)
    if noise:
        rng = torch.Generator().manual_seed(0)
        images = (images + noise * torch.randn(images.shape, generator=rng)).clamp(0, 1)
    return ValidityModel(network, torch.zeros(1), quantile=0.5, batch=BATCH).errors(images)


def _measure(cfg: Config, network: VAE, held_out: torch.Tensor, data: DataModule) -> dict[str, Any]:
    threshold = ValidityModel(network, held_out, quantile=cfg.validity.quantile).threshold
    test, noisy = (_errors(network, data, "test", noise) for noise in (0.0, NOISE))
    alarms = int((test > threshold).sum())
    return {
        "quantile": cfg.validity.quantile,
        "threshold": threshold,
        "false_alarm_rate": alarms / len(test),
        "false_alarm_rate_ci95": wilson(alarms, len(test)),
        "flagged_with_noise": float((noisy > threshold).double().mean()),
        "noise": NOISE,
        "held_out_images": len(held_out),
        "test_images": len(test),
        "test_error_median": float(test.median()),
    }


def _card(cfg: Config) -> dict[str, Any]:
    return {
        "kind": KIND,
        **_architecture(cfg),
        "name": f"{cfg.dataset.name}_vae",
        "dataset": cfg.dataset.name,
        "recipe": asdict(cfg.validity.training),
        "run_seed": cfg.run_seed,
        "command": command(cfg),
        "stored_as": "float16",
        "versions": versions(),
    }
