"""The Lightning module that trains a classifier."""

import logging
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from latreg.classifier.augment import cutout, random_affine
from latreg.classifier.networks import UnscaledBatchNorm2d, build
from latreg.data.images import to_unit

log = logging.getLogger(__name__)

BIAS_RATE = 64  # biases of normalizations without a scale learn so much faster (Jordan 2024)


class ClassifierModule(L.LightningModule):
    """Cross-entropy, SGD with Nesterov momentum, one cycle of the learning rate.

    Batches are images (N, C, H, W) uint8 and labels (N,). The augmentation of a step is a function of (run_seed, rank,
    step), so a resumed training repeats it exactly. All arguments are plain values, which `load_from_checkpoint` needs;
    they mean what they do in `ClassifierConfig` and `ClassifierTrainingConfig`.

    Args:
        network: name in `latreg.classifier.networks.NETWORKS`.
        network_args: its sizes.
        channels: C.
        num_classes: K.
        mean: of the training images per channel, in [0, 1].
        std: likewise.
        max_steps: length of the cycle.
        learning_rate: its peak.
        weight_decay: of weights; biases and normalizations have none.
        max_shift: pixels.
        max_rotation: degrees.
        flip: whether half of the images are mirrored.
        cutout: side of the erased square in pixels, 0 = off.
        label_smoothing: share of the target that all classes get alike; for judges, as a SUT is better without.
        run_seed: of the augmentation.
    """

    def __init__(
        self,
        *,
        network: str,
        network_args: dict[str, Any],
        channels: int,
        num_classes: int,
        mean: list[float],
        std: list[float],
        max_steps: int,
        learning_rate: float,
        weight_decay: float = 5e-4,
        max_shift: int = 0,
        max_rotation: float = 0.0,
        flip: bool = False,
        cutout: int = 0,
        label_smoothing: float = 0.0,
        run_seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = build(network, channels, num_classes, network_args)
        self.network.mean.copy_(torch.tensor(mean))
        self.network.std.copy_(torch.tensor(std))
        self.accuracy = MulticlassAccuracy(num_classes, average="micro")

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => logits (N, K)."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self(self.augmented(to_unit(images)))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.hparams["label_smoothing"])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        logits = self(to_unit(images))
        self.accuracy(logits, labels)
        self.log("validation/loss", F.cross_entropy(logits, labels), sync_dist=True)
        self.log("validation/accuracy", self.accuracy, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        if self.trainer.is_global_zero:
            log.info("step %d: validation accuracy %.4f", self.global_step, self.accuracy.compute())

    def augmented(self, images: Tensor) -> Tensor:
        """The images of the current step as they are trained on."""
        options = self.hparams
        rng = np.random.default_rng([options["run_seed"], self.global_rank, self.global_step])
        if options["max_shift"] or options["max_rotation"] or options["flip"]:
            images = random_affine(images, rng, options["max_shift"], options["max_rotation"], options["flip"])
        return cutout(images, rng, options["cutout"]) if options["cutout"] else images

    def configure_optimizers(self) -> OptimizerLRScheduler:
        peak, decay, max_steps = (self.hparams[name] for name in ("learning_rate", "weight_decay", "max_steps"))
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        unscaled = [module for module in self.network.modules() if isinstance(module, UnscaledBatchNorm2d)]
        fast = {id(norm.bias) for norm in unscaled}
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "lr": peak, "weight_decay": decay},
            {"params": [p for p in trained if p.ndim <= 1 and id(p) not in fast], "lr": peak, "weight_decay": 0.0},
        ]
        if unscaled:
            biases = [norm.bias for norm in unscaled]
            groups.append({"params": biases, "lr": BIAS_RATE * peak, "weight_decay": decay / BIAS_RATE})
        optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True)
        peaks = [group["lr"] for group in groups]
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, max_steps, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
