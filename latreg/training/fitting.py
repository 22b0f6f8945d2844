"""Fit a Lightning module for some epochs: resumable after each, on one or more devices."""

import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger

from latreg.config import Config
from latreg.errors import LatregError, ResumeRefusedError
from latreg.runs.files import writing
from latreg.training.checkpoints import is_finite, last_good, read_checkpoint
from latreg.training.datamodule import DataModule
from latreg.training.devices import make_trainer, other_processes


def fit(
    module: L.LightningModule,
    data: DataModule,
    cfg: Config,
    run_dir: Path,
    logger: Logger | None,
    *,
    epochs: int,
    batch_size: int,
) -> L.Trainer:
    """Train from the last checkpoint on where `cfg.resume` asks for it and there is one, else from the beginning.

    A checkpoint is kept once per epoch; a training that goes on from it ends as one that was never interrupted.

    Args:
        module: with its number of steps as the hyperparameter `max_steps`, and no random numbers but those that are a
            function of the step.
        data: the size of its batches is set here.
        cfg: trainer and resume are used.
        run_dir: folder of the run; where there are several devices, with the run's config.yaml.
        logger: None = nothing is logged.
        epochs: between checkpoints and validations lie max_steps / epochs steps.
        batch_size: over all devices.

    Raises:
        LatregError: the hardware is not there, the batch cannot be shared equally among the devices, the checkpoint is
            damaged or of another recipe, the loss or the weights are not finite, or the disk is full.
    """
    if epochs < 1:
        raise LatregError(f"training.epochs must be at least 1, got {epochs}")
    last = run_dir / "checkpoints" / "last.ckpt"
    steps_per_epoch = module.hparams["max_steps"] // epochs
    keep_last = ModelCheckpoint(
        last.parent, filename=last.stem, every_n_train_steps=steps_per_epoch, enable_version_counter=False
    )
    trainer = make_trainer(
        cfg.trainer,
        default_root_dir=run_dir,
        max_steps=module.hparams["max_steps"],
        val_check_interval=steps_per_epoch,
        check_val_every_n_epoch=None,  # the training batches never end
        num_sanity_val_steps=0,
        callbacks=[StopWhereNotFinite(last), keep_last],
        logger=logger or False,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
    )
    data.batch_size = _batch_per_device(batch_size, trainer.world_size)
    checkpoint = last if cfg.resume and last.is_file() else None
    data.n_images = _finished_steps(checkpoint, module) * batch_size if checkpoint else 0
    with other_processes(trainer, run_dir), writing(last):
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    return trainer


class StopWhereNotFinite(Callback):
    """End a training whose numbers are lost, before they get into its checkpoint.

    Args:
        last: the checkpoint; None = there will be none.
    """

    def __init__(self, last: Path | None) -> None:
        self.last = last

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not bool(torch.isfinite(outputs["loss"])):
            self._stop(f"the loss became {float(outputs['loss'])}", trainer.global_step)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if not is_finite(pl_module):
            self._stop("weights that are not finite came up", trainer.global_step)

    def _stop(self, reason: str, step: int) -> None:
        kept = last_good(self.last if self.last and self.last.is_file() else None)
        raise LatregError(f"{reason} in step {step}; {kept}; try a lower learning_rate")


def _batch_per_device(batch_size: int, devices: int) -> int:
    if batch_size % devices:
        raise LatregError(f"training.batch_size must be a multiple of the {devices} devices, got {batch_size}")
    return batch_size // devices


def _finished_steps(checkpoint: Path, module: L.LightningModule) -> int:
    content = read_checkpoint(checkpoint)
    wanted, found = dict(module.hparams), content["hyper_parameters"]
    changed = sorted(name for name in wanted if wanted[name] != found.get(name))
    if changed:
        raise ResumeRefusedError(
            f"resume=true needs the settings that {checkpoint} was trained with, "
            f"but {changed[0]} was {found.get(changed[0])} and is now {wanted[changed[0]]}"
        )
    return int(content["global_step"])
