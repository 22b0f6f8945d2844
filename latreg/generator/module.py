"""Training of the class-conditional StyleGAN2 as a Lightning module with manual optimization."""

import copy
from typing import Any, cast

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from latreg.errors import LatregError
from latreg.generator.losses import discriminator_loss, generator_loss, path_lengths, r1_penalty
from latreg.generator.networks import Discriminator, GeneratorNetwork


class StyleGAN2Module(L.LightningModule):
    """G, D and the moving average G_ema. `n_images`, the real images shown, is the only clock.

    Each step draws its random numbers from (run_seed, rank, n_images), so a resumed training repeats the whole one.

    Args:
        generator: arguments of GeneratorNetwork.
        discriminator: arguments of Discriminator.
        r1_gamma, r1_interval: weight of R1 and the number of steps between two evaluations (lazy regularization).
        pl_weight, pl_interval: the same for path length regularization; 0 = off.
        style_mixing_prob: share of samples whose latent changes at a random layer.
        ema_images: half-life of G_ema in images; ema_rampup: at most this share of the images seen so far (None = off).
    """

    pl_mean: Tensor

    def __init__(
        self,
        generator: dict[str, Any],
        discriminator: dict[str, Any],
        learning_rate: float,
        betas: tuple[float, float],
        r1_gamma: float,
        r1_interval: int,
        pl_weight: float,
        pl_interval: int,
        style_mixing_prob: float,
        ema_images: float,
        ema_rampup: float | None,
        total_images: int,
        run_seed: int,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.c_dim: int = generator["c_dim"]
        self.z_dim: int = generator["z_dim"]
        self.learning_rate, self.betas = learning_rate, betas
        self.r1_gamma, self.r1_interval = r1_gamma, r1_interval
        self.pl_weight, self.pl_interval = pl_weight, pl_interval
        self.style_mixing_prob = style_mixing_prob
        self.ema_images, self.ema_rampup = ema_images, ema_rampup
        self.total_images = total_images
        self.run_seed = run_seed
        self.G = GeneratorNetwork(**generator)
        self.D = Discriminator(**discriminator)
        self.G_ema = copy.deepcopy(self.G).requires_grad_(False).eval()
        self.register_buffer("pl_mean", torch.zeros([]))
        self.n_images = 0
        self.n_steps = 0
        self.images_per_step = 0

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for G and D, corrected for the extra steps of lazy regularization (appendix B)."""
        return [
            self._adam(self.G, self.pl_interval if self.pl_weight > 0 else None),
            self._adam(self.D, self.r1_interval),
        ]

    def _adam(self, network: torch.nn.Module, interval: int | None) -> torch.optim.Adam:
        ratio = 1.0 if interval is None else interval / (interval + 1)
        betas = (float(self.betas[0]) ** ratio, float(self.betas[1]) ** ratio)
        return torch.optim.Adam(network.parameters(), lr=self.learning_rate * ratio, betas=betas, eps=1e-8)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        images, labels = batch
        self._seed_step()
        real = (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        c = F.one_hot(labels, self.c_dim).float()
        # Fakes take the labels of another order, so that real and fake pairs of one batch differ.
        fake_labels = labels[torch.randperm(len(labels), device=labels.device)]
        fake_c = F.one_hot(fake_labels, self.c_dim).float()
        g_optimizer, d_optimizer = cast(list[LightningOptimizer], self.optimizers())

        self.D.requires_grad_(False)
        ws = self._map(self.G, fake_labels, fake_c)
        fake = self.G.synthesis(ws, "random")
        g_loss = generator_loss(self.D(fake, fake_c))
        self._update(g_optimizer, g_loss)
        if self.pl_weight > 0 and self.n_steps % self.pl_interval == 0:
            self._update(g_optimizer, self._path_length_loss(fake_labels, fake_c))
        self.D.requires_grad_(True)

        d_loss = discriminator_loss(self.D(real, c), self.D(fake.detach(), fake_c))
        self._update(d_optimizer, d_loss)
        if self.n_steps % self.r1_interval == 0:
            real.requires_grad_(True)
            penalty = r1_penalty(real, self.D(real, c))
            self._update(d_optimizer, penalty * (self.r1_gamma * self.r1_interval))
            self.log("train/r1", penalty)

        self.images_per_step = len(images) * self.trainer.world_size
        self.n_images += self.images_per_step
        self.n_steps += 1
        self._update_ema()
        self.log_dict({"train/g_loss": g_loss, "train/d_loss": d_loss}, prog_bar=True)
        self.log("n_images", float(self.n_images), prog_bar=True)
        if self.n_images >= self.total_images:
            self.trainer.should_stop = True

    def _seed_step(self) -> None:
        sequence = np.random.SeedSequence([self.run_seed, self.global_rank, self.n_images])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))

    def _map(self, G: GeneratorNetwork, labels: Tensor, c: Tensor) -> Tensor:
        """Random latents for the labels => ws (N, num_ws, w_dim), with style mixing."""
        z = torch.randn(len(labels), self.z_dim, device=self.device)
        w: Tensor = G.mapping(z, c)
        G.mapping.track_average(w.detach(), labels)
        ws = w[:, None].expand(-1, G.num_ws, -1)
        if self.style_mixing_prob > 0:
            other = G.mapping(torch.randn_like(z), c)[:, None]
            crossover = torch.randint(1, G.num_ws, (len(z), 1, 1), device=self.device)
            mixed = torch.rand(len(z), 1, 1, device=self.device) < self.style_mixing_prob
            layer = torch.arange(G.num_ws, device=self.device)[None, :, None]
            ws = torch.where(mixed & (layer >= crossover), other, ws)
        return ws

    def _path_length_loss(self, labels: Tensor, c: Tensor) -> Tensor:
        half = max(len(labels) // 2, 1)
        ws = self._map(self.G, labels[:half], c[:half])
        lengths = path_lengths(self.G.synthesis(ws, "random"), ws)
        self.pl_mean.copy_(lengths.mean().detach().lerp(self.pl_mean, 0.99))
        return (lengths - self.pl_mean).square().mean() * (self.pl_weight * self.pl_interval)

    def _update(self, optimizer: Any, loss: Tensor) -> None:
        if not bool(torch.isfinite(loss)):
            raise LatregError(
                f"the loss became {loss.item()} after {self.n_images} images; the last checkpoint is good"
            )
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        optimizer.step()

    @torch.no_grad()
    def _update_ema(self) -> None:
        half_life = self.ema_images
        if self.ema_rampup is not None:
            half_life = min(half_life, self.n_images * self.ema_rampup)
        beta = 0.5 ** (self.images_per_step / max(half_life, 1e-8))
        averages: list[Tensor] = list(self.G_ema.parameters())
        torch._foreach_lerp_(averages, list(self.G.parameters()), 1 - beta)
        for average, current in zip(self.G_ema.buffers(), self.G.buffers(), strict=True):
            average.copy_(current)

    def averaged_generator(self) -> GeneratorNetwork:
        """A copy of G_ema, to measure and to save."""
        return copy.deepcopy(self.G_ema)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["n_images"], checkpoint["n_steps"] = self.n_images, self.n_steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.n_images, self.n_steps = checkpoint["n_images"], checkpoint["n_steps"]
