"""The Lightning module that trains a validity model."""

import logging
import math

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from latreg.data.images import to_unit
from latreg.validity.vae import VAE

log = logging.getLogger(__name__)


class VAEModule(L.LightningModule):
    """A sigma-VAE: the variance of the pixels is the best one for each batch, so nothing has to be weighed by hand.

    Source: Rybkin et al. 2021 (arXiv 2006.13202), eq. 9. Batches are images (N, C, H, W) uint8 and labels (N,), which
    are not used. The noise of a step is a function of (run_seed, rank, step), so a resumed training repeats it exactly.

    Args:
        channels: C.
        resolution: H = W.
        latent_dim: of the Gaussian.
        widths: channels after each halving.
        max_steps: length of the learning rate's cycle.
        learning_rate: its peak.
        run_seed: of the noise.
    """

    def __init__(
        self,
        *,
        channels: int,
        resolution: int,
        latent_dim: int,
        widths: list[int],
        max_steps: int,
        learning_rate: float,
        run_seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = VAE(channels, resolution, latent_dim, widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images = to_unit(batch[0])
        mean, log_variance = self.network.encode(images)
        rng = np.random.default_rng([self.hparams["run_seed"], self.global_rank, self.global_step])
        noise = torch.from_numpy(rng.standard_normal(tuple(mean.shape), dtype=np.float32)).to(mean)
        reconstructed = self.network.decode(mean + (log_variance / 2).exp() * noise)
        mse = (reconstructed.float() - images).square().mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
        loss: Tensor = math.prod(images.shape[1:]) / 2 * mse.log() + divergence
        self.log_dict({"train/loss": loss, "train/mse": mse, "train/divergence": divergence})
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images = to_unit(batch[0])
        mse = (self.network(images) - images).square().mean()
        self.log("validation/mse", mse, prog_bar=True, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        if self.trainer.is_global_zero:
            log.info(
                "step %d: validation error %.5f", self.global_step, self.trainer.callback_metrics["validation/mse"]
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        peak, steps = self.hparams["learning_rate"], self.hparams["max_steps"]
        optimizer = torch.optim.Adam(self.network.parameters(), lr=peak)
        rise = 0.1 if steps > 10 else 0.3  # a tenth of ten steps would be a division by zero
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, steps, cycle_momentum=False, pct_start=rise)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
