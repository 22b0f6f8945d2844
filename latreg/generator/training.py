"""Train a StyleGAN2 on one device or several, from the start or from its last checkpoint."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger

from latreg.config import Config, GeneratorTrainingConfig
from latreg.data import DataModule
from latreg.errors import LatregError
from latreg.generator.module import StyleGAN2Module
from latreg.generator.pretrained import network_arguments
from latreg.generator.scores import TrainingScores
from latreg.generator.snapshots import Snapshots, checkpoint_path
from latreg.runfolder import versions


def train_generator(cfg: Config, run_dir: Path, data: DataModule, logger: Logger | None) -> dict[str, Any]:
    """Train until `generator.training.total_images` real images were shown; returns the last scores.

    The run's folder gets checkpoints/last.ckpt, <name>.safetensors with its card, and samples/.

    Raises:
        LatregError: nothing to resume, another architecture in the checkpoint, or a loss that is not finite.
    """
    recipe = cfg.generator.training
    path = checkpoint_path(run_dir)
    L.seed_everything(cfg.run_seed, verbose=False)
    module = make_module(cfg)
    snapshots = Snapshots(
        run_dir,
        weights_name(cfg),
        recipe.snapshot_images,
        describe=lambda n_images: describe(cfg, n_images),
        score=TrainingScores(cfg, data),
    )
    trainer = L.Trainer(
        **asdict(cfg.trainer),
        default_root_dir=run_dir,
        max_epochs=-1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[snapshots],
        logger=logger or False,
    )
    data.batch_size = batch_per_device(recipe, trainer.world_size)
    if cfg.resume:
        data.n_images = images_seen(path, module)
    trainer.fit(module, datamodule=data, ckpt_path=path if cfg.resume else None)
    return {"n_images": module.n_images, "weights": str(snapshots.weights_path), **snapshots.scores}


def make_module(cfg: Config) -> StyleGAN2Module:
    """The networks and the recipe that the configuration names."""
    recipe, generator = cfg.generator.training, network_arguments(cfg.generator, cfg.dataset)
    shared = {k: generator[k] for k in ("c_dim", "img_resolution", "img_channels", "channel_base", "channel_max")}
    discriminator = {
        **shared,
        "residual": recipe.residual,
        "mapping_layers": recipe.d_mapping_layers,
        "mbstd_group_size": recipe.mbstd_group_size,
        "conv_clamp": cfg.generator.conv_clamp,
    }
    return StyleGAN2Module(
        generator,
        discriminator,
        recipe.learning_rate,
        (recipe.betas[0], recipe.betas[1]),
        recipe.r1_gamma,
        recipe.r1_interval,
        recipe.pl_weight,
        recipe.pl_interval,
        recipe.style_mixing_prob,
        recipe.ema_images,
        recipe.ema_rampup,
        recipe.total_images,
        cfg.run_seed,
    )


def weights_name(cfg: Config) -> str:
    """The file that a training writes is named as `generator.weights` is, so that it can be copied there."""
    weights = cfg.generator.weights or f"{cfg.dataset.name}_{cfg.generator.name}"
    return Path(weights.removeprefix("zoo:")).stem


def batch_per_device(recipe: GeneratorTrainingConfig, devices: int) -> int:
    """The configured batch, shared among the devices."""
    if recipe.batch_size % devices:
        raise LatregError(
            f"generator.training.batch_size must be a multiple of the {devices} devices, got {recipe.batch_size}"
        )
    return recipe.batch_size // devices


def images_seen(checkpoint: Path, module: StyleGAN2Module) -> int:
    """How far a checkpoint is, after a look whether it holds the same networks."""
    if not checkpoint.is_file():
        raise LatregError(f"resume=true needs a checkpoint in {checkpoint}, but there is none")
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for name in ("generator", "discriminator"):
        wanted, found = dict(module.hparams[name]), dict(content["hyper_parameters"][name])
        if wanted != found:
            raise LatregError(
                f"{checkpoint} was trained with the {name} {found}, but the configuration asks for {wanted}"
            )
    return int(content["n_images"])


def describe(cfg: Config, n_images: int) -> dict[str, Any]:
    """The model card: what the weights are and how they came to be. Scores are added by the evaluation."""
    return {
        "kind": "generator",
        "dataset": cfg.dataset.name,
        "architecture": cfg.generator.name,
        "recipe": asdict(cfg.generator.training),
        "command": f"python -m latreg.run +experiment={cfg.name}",
        "images_seen": n_images,
        "run_seed": cfg.run_seed,
        "stored_as": "float16",
        "versions": versions(),
    }
