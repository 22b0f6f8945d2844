"""Train a StyleGAN2 on one device or several, from the start or from its last checkpoint."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger

from latreg.config import TRAIN_GENERATOR, Config, GeneratorTrainingConfig, purpose_in
from latreg.data.images import ImageSet
from latreg.errors import LatregError, ResumeRefusedError
from latreg.generator.augment import transform_names
from latreg.generator.guide import Guide, load_guide
from latreg.generator.module import StyleGAN2Module
from latreg.generator.networks import block_resolutions
from latreg.generator.precision import check_precision
from latreg.generator.pretrained import network_arguments
from latreg.generator.snapshots import Score, Snapshots, checkpoint_path
from latreg.json_files import checked
from latreg.runs.provenance import command, versions
from latreg.settings import setting
from latreg.training.checkpoints import read_checkpoint
from latreg.training.datamodule import DataModule
from latreg.training.devices import make_trainer, other_processes
from latreg.zoo.weights import card_path, name_of, read_card

Scores = Callable[[list[dict[str, str]]], Score]

SHARE_OF_MEMORY = 0.25  # of a GPU's free memory may be taken by the real images


def train_generator(
    cfg: Config, run_dir: Path, data: DataModule, logger: Logger | None, scores: Scores | None = None
) -> dict[str, Any]:
    """Train until `generator.training.total_images` real images were shown; returns the last scores.

    The run's folder gets checkpoints/last.ckpt, <name>.safetensors with its card, and samples/. Where there are several
    devices, it must hold the run's config.yaml, which the processes of the others read.

    Args:
        scores: makes what to watch the training by, of the generator at each snapshot, from name and sha256 of the
            guides; None = nothing.

    Raises:
        LatregError: data or hardware do not fit the configuration, nothing to resume, another architecture in the
            checkpoint, a loss that is not finite, or a full disk.
    """
    path = checkpoint_path(run_dir)
    L.seed_everything(cfg.run_seed, verbose=False)
    check_recipe(cfg)
    module = make_module(cfg)
    n_images = images_seen(path, module) if cfg.resume else 0
    last = last_card(run_dir / f"{weights_name(cfg)}.safetensors") if cfg.resume else {}
    earlier, guides = earlier_recipes(last, cfg), guides_so_far(last, module.guide)
    snapshots = Snapshots(
        run_dir,
        weights_name(cfg),
        cfg.generator.training.snapshot_images,
        describe=lambda n_images: describe(cfg, n_images, earlier, guides),
        score=scores(guides) if scores else (lambda generator: {}),
    )
    trainer = generator_trainer(cfg, run_dir, snapshots, logger)
    batch = batch_per_device(cfg, trainer.world_size)
    check_images(cfg, data.split("train"))
    data = resident(cfg, data, trainer.strategy.root_device)
    data.batch_size, data.n_images = batch, n_images
    if cfg.resume:
        module.last_checkpoint = path
    with other_processes(trainer, run_dir):
        trainer.fit(module, datamodule=data, ckpt_path=path if cfg.resume else None)
    return {"n_images": module.n_images, "weights": str(snapshots.weights_path), **snapshots.scores}


def make_module(cfg: Config) -> StyleGAN2Module:
    """The networks and the recipe that the configuration names."""
    recipe, generator = cfg.generator.training, network_arguments(cfg.generator, cfg.dataset)
    return StyleGAN2Module(
        generator,
        discriminator_arguments(cfg, generator),
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
        augmentation_arguments(cfg),
        cfg.trainer.precision == "bf16-mixed",
        load_guide(cfg),
    )


def discriminator_arguments(cfg: Config, generator: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ProjectedDiscriminator where features are asked for, else of Discriminator."""
    recipe = cfg.generator.training
    ending = {"mapping_layers": recipe.d_mapping_layers, "mbstd_group_size": recipe.mbstd_group_size}
    if recipe.features is not None:
        return {"c_dim": generator["c_dim"], "features": recipe.features, **ending}
    shared = {k: generator[k] for k in ("c_dim", "img_resolution", "img_channels", "channel_base", "channel_max")}
    return {**shared, "residual": recipe.residual, **ending, "conv_clamp": cfg.generator.conv_clamp}


def augmentation_arguments(cfg: Config) -> dict[str, Any] | None:
    """The arguments of AdaptiveAugment, None where no transform is asked for."""
    recipe = cfg.generator.training
    if not recipe.augment:
        return None
    return {
        "transforms": sorted(transform_names(recipe.augment)),
        "resolution": cfg.dataset.resolution,
        "p": recipe.augment_p,
        "target": recipe.augment_target,
        "images": recipe.augment_images,
        "interval": recipe.augment_interval,
    }


def generator_trainer(cfg: Config, run_dir: Path, snapshots: Snapshots, logger: Logger | None) -> L.Trainer:
    """The trainer; precision is the module's own matter, so that no autocast reaches latents and logits."""
    trainer = make_trainer(
        replace(cfg.trainer, precision="32-true"),
        gan=True,
        default_root_dir=run_dir,
        max_epochs=-1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        callbacks=[snapshots],
        logger=logger or False,
    )
    check_precision(cfg.trainer.precision, trainer.strategy.root_device)
    return trainer


def resident(cfg: Config, data: DataModule, device: torch.device) -> DataModule:
    """The data with their training images on the GPU, where that is wanted and they fit."""
    if device.type != "cuda" or not cfg.generator.training.data_on_device:
        return data
    train = data.split("train")
    if train.images.nbytes > SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]:
        return data
    return data.with_training_images(ImageSet(train.images.to(device), train.labels.to(device)))


def weights_name(cfg: Config) -> str:
    """The file that a training writes is named as `generator.weights` is, so that it can be copied there."""
    named = cfg.generator.weights
    return name_of(named) if named else f"{cfg.dataset.name}_{cfg.generator.name}"


def batch_per_device(cfg: Config, devices: int) -> int:
    """The configured batch, shared among the devices."""
    recipe = cfg.generator.training
    batch, rest = divmod(recipe.batch_size, devices)
    if batch < 1 or rest:
        raise LatregError(
            f"generator.training.batch_size must be a multiple of the {devices} devices, got {recipe.batch_size}"
        )
    group = recipe.mbstd_group_size
    if batch > group and batch % group:
        raise LatregError(
            f"generator.training.batch_size must be a multiple of mbstd_group_size = {group} on each of the "
            f"{devices} devices, got {recipe.batch_size}"
        )
    return batch


def check_recipe(cfg: Config) -> None:
    """Refuse what no data can mend.

    Raises:
        LatregError: settings do not fit each other.
    """
    recipe = cfg.generator.training
    try:
        block_resolutions(cfg.dataset.resolution)
    except ValueError as error:
        raise LatregError(f"dataset.resolution does not fit a StyleGAN2: {error}") from error
    if recipe.total_images < 1:
        raise LatregError(f"generator.training.total_images must be at least 1, got {recipe.total_images}")
    if cfg.generator.channel_base < cfg.dataset.resolution:
        raise LatregError(
            f"generator.channel_base must be at least {cfg.dataset.resolution}, the resolution, "
            f"got {cfg.generator.channel_base}"
        )
    check_guidance(recipe, cfg.dataset.resolution)


def check_guidance(recipe: GeneratorTrainingConfig, resolution: int) -> None:
    """Refuse settings of the guide that do not fit the images, or have no guide.

    Raises:
        LatregError: one is.
    """
    if recipe.guide_shift >= resolution:
        raise LatregError(
            f"generator.training.guide_shift must be within 0 .. {resolution - 1} pixels, got {recipe.guide_shift}"
        )
    if recipe.guide is None and (recipe.guide_weight or recipe.guide_weight_end):
        raise LatregError("generator.training.guide must name a classifier where there is a guide_weight, got null")


def check_images(cfg: Config, train: ImageSet) -> None:
    """Refuse images that the networks cannot take.

    Raises:
        LatregError: another resolution or number of channels or classes, or less than one batch of them.
    """
    wanted = (cfg.dataset.channels, cfg.dataset.resolution, cfg.dataset.resolution)
    found = tuple(train.images.shape[1:])
    if found != wanted:
        raise LatregError(f"training images of {cfg.dataset.name} must have the shape {wanted}, got {found}")
    if len(train) < cfg.generator.training.batch_size:
        raise LatregError(
            f"generator.training.batch_size must be at most the {len(train)} training images, "
            f"got {cfg.generator.training.batch_size}"
        )


def images_seen(checkpoint: Path, module: StyleGAN2Module) -> int:
    """How far a checkpoint is, after a look whether it holds the same networks.

    Raises:
        LatregError: it is not there or damaged.
        ResumeRefusedError: it holds others, or has seen all images already.
    """
    if not checkpoint.is_file():
        raise LatregError(f"resume=true needs a checkpoint in {checkpoint}, but there is none")
    content = read_checkpoint(checkpoint, "n_images")
    for name in ("generator", "discriminator"):
        wanted, found = (_given(of[name]) for of in (module.hparams, content["hyper_parameters"]))
        if wanted != found:
            raise ResumeRefusedError(
                f"{checkpoint} was trained with the {name} {found}, but the configuration asks for {wanted}"
            )
    n_images = int(content["n_images"])
    if n_images >= module.total_images:
        raise ResumeRefusedError(
            f"generator.training.total_images must be above the {n_images} images of the checkpoint, "
            f"got {module.total_images}"
        )
    return n_images


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a network but those that are None, which is the same as leaving them away."""
    return {name: value for name, value in arguments.items() if value is not None}


@dataclass
class TrainingCard:
    """What a training that goes on reads of the card that it wrote last."""

    recipe: dict[str, Any]
    architecture: str
    images_seen: int = setting(0, low=0)
    earlier_recipes: list[dict[str, Any]] | None = None


def last_card(weights: Path) -> dict[str, Any]:
    """The card beside weights that a training has written, {} where there is none.

    Raises:
        LatregError: it is damaged.
    """
    card = read_card(weights)
    return checked(card, str(card_path(weights)), TrainingCard) if card else {}


def earlier_recipes(last: Mapping[str, Any], cfg: Config) -> list[dict[str, Any]]:
    """What was set otherwise in the parts of a training that its last card tells of, each with `until_images`.

    Settings that are newer than the card had their defaults.
    """
    if not last:
        return []
    recipe = {**asdict(cfg.generator.training), "architecture": cfg.generator.name}
    before = {**asdict(GeneratorTrainingConfig()), **last["recipe"], "architecture": last["architecture"]}
    changed = {name: value for name, value in before.items() if _is_of_recipe(name) and recipe.get(name) != value}
    part = [{"until_images": last["images_seen"], **changed}] if changed else []
    return [*last.get("earlier_recipes", []), *part]


def _is_of_recipe(name: str) -> bool:
    """Whether a setting tells how a training went on, not how long and where."""
    return not purpose_in(f"generator.training.{name}", {"stage": TRAIN_GENERATOR}).free_in_repetitions


def guides_so_far(last: Mapping[str, Any], guide: Guide | None) -> list[dict[str, str]]:
    """Name and sha256 of the guides that the last card tells of, and of the present one."""
    before: list[dict[str, str]] = last.get("guides", [])
    present = [{"name": guide.name, "sha256": guide.id}] if guide else []
    return before + [entry for entry in present if entry not in before]


def describe(cfg: Config, n_images: int, earlier: list[dict[str, Any]], guides: list[dict[str, str]]) -> dict[str, Any]:
    """The model card: what the weights are and how they came to be. Scores are added by the evaluation."""
    return {
        "kind": "generator",
        "dataset": cfg.dataset.name,
        "architecture": cfg.generator.name,
        "recipe": asdict(cfg.generator.training),
        "earlier_recipes": earlier,
        "guides": guides,
        "command": command(cfg),
        "images_seen": n_images,
        "run_seed": cfg.run_seed,
        "stored_as": "float16",
        "versions": versions(),
    }
