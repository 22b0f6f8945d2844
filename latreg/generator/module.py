"""Training of the class-conditional StyleGAN2 as a Lightning module with manual optimization."""

import copy
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NoReturn, cast

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from latreg.errors import LatregError
from latreg.generator.augment import AdaptiveAugment
from latreg.generator.guide import Guide
from latreg.generator.losses import discriminator_loss, generator_loss, path_lengths, r1_penalty
from latreg.generator.networks import Discriminator, GeneratorNetwork
from latreg.generator.precision import LowerPrecision
from latreg.generator.projected import ProjectedDiscriminator
from latreg.training.checkpoints import is_finite, last_good

Seen = Tensor | list[Tensor]  # augmented images, or feature maps of them


def _detached(seen: Seen) -> Seen:
    return seen.detach() if isinstance(seen, Tensor) else [feature_map.detach() for feature_map in seen]


class StyleGAN2Module(L.LightningModule):
    """G, D and the moving average G_ema. `n_images`, the real images shown, is the only clock.

    Each step draws its random numbers from (run_seed, rank, n_images), so a resumed training repeats the whole one.

    Args:
        generator: arguments of GeneratorNetwork.
        discriminator: arguments of Discriminator, or with `features` those of ProjectedDiscriminator.
        r1_gamma, r1_interval: weight of R1 and the number of steps between two evaluations (lazy regularization).
        pl_weight, pl_interval: the same for path length regularization; 0 = off.
        style_mixing_prob: share of samples whose latent changes at a random layer.
        ema_images: half-life of G_ema in images; ema_rampup: at most this share of the images seen so far (None = off).
        augmentation: arguments of AdaptiveAugment for all that D sees; None = off.
        bfloat16: compute feature maps in bfloat16.
        guide: a classifier that pushes samples to their classes; no part of checkpoints. None = off.
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
        augmentation: dict[str, Any] | None = None,
        bfloat16: bool = False,
        guide: Guide | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="guide")
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
        projected = "features" in discriminator
        self.D = ProjectedDiscriminator(**discriminator) if projected else Discriminator(**discriminator)
        self.G_ema = copy.deepcopy(self.G).requires_grad_(False).eval()
        self.register_buffer("pl_mean", torch.zeros([]))
        self.augment = AdaptiveAugment(**augmentation) if augmentation else None
        self.lower_precision = LowerPrecision(self.G.synthesis, self.D) if bfloat16 else None
        self.guide = guide
        self.n_images = 0
        self.n_steps = 0
        self.images_per_step = 0
        self.last_checkpoint: Path | None = None  # to be named when the training fails

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
        images, labels = self._by_class(*batch)
        self._seed_step()
        real = (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        c = F.one_hot(labels, self.c_dim).float()
        g_optimizer, d_optimizer = cast(list[LightningOptimizer], self.optimizers())

        self.D.requires_grad_(False)
        seen_fake = self._train_g(g_optimizer, labels, c)
        self.D.requires_grad_(True)
        mean_sign = self._train_d(d_optimizer, real, c, seen_fake)
        if self.n_steps % self.r1_interval == 0:
            self._regularize_d(d_optimizer, real, c)
        self._advance(len(images), mean_sign)

    def _by_class(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A batch in an order in which D's groups, whose spread it sees, are of one class as far as possible.

        Spread over classes would hide from D that all samples of a class are alike.
        """
        group = min(self.D.mbstd_group_size, len(labels))
        order = labels.argsort(stable=True).view(-1, group).t().flatten()  # sample i is of group i modulo their number
        return images[order], labels[order]

    def _train_g(self, optimizer: LightningOptimizer, labels: Tensor, c: Tensor) -> Seen:
        """Update G; returns what D has seen of this step's images, without gradients."""
        images = self.G.synthesis(self._map(self.G, labels, c), "random")
        seen = self._see(images)
        loss = generator_loss(self.D(seen, c))
        self._update(optimizer, loss + self._guide_loss(images, labels) if self.guide else loss)
        if self.pl_weight > 0 and self.n_steps % self.pl_interval == 0:
            self._update(optimizer, self._path_length_loss(labels, c))
        self.log("train/g_loss", loss, prog_bar=True)
        return _detached(seen)

    def _guide_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """What the guide adds to G's loss."""
        assert self.guide is not None
        weight = self.guide.weight(self.n_images)
        loss, agreement = self.guide(images, labels)
        self.log("train/guide_loss", loss)
        self.log("train/guide_agreement", agreement, prog_bar=True)
        self.log("train/guide_weight", weight)
        return weight * loss

    def _train_d(self, optimizer: LightningOptimizer, real: Tensor, c: Tensor, fake: Seen) -> Tensor:
        """Update D; returns the mean sign of its logits of real images."""
        real_logits: Tensor = self.D(self._see(real), c)
        loss = discriminator_loss(real_logits, self.D(fake, c))
        self._update(optimizer, loss)
        self.log("train/d_loss", loss, prog_bar=True)
        return real_logits.detach().sign().mean()

    def _regularize_d(self, optimizer: LightningOptimizer, real: Tensor, c: Tensor) -> None:
        """R1, with respect to the images before augmentation, or to the feature maps."""
        with self._float32():
            real.requires_grad_(not isinstance(self.D, ProjectedDiscriminator))
            seen = self._see(real)
            judged = real if isinstance(seen, Tensor) else [feature_map.requires_grad_() for feature_map in seen]
            penalty = r1_penalty(judged, self.D(seen, c))
        self._update(optimizer, penalty * (self.r1_gamma * self.r1_interval))
        self.log("train/r1", penalty)

    def _float32(self) -> AbstractContextManager[None]:
        """For second derivatives, which are small numbers."""
        return self.lower_precision.off() if self.lower_precision else nullcontext()

    def _see(self, images: Tensor) -> Seen:
        """What D judges: images as augmented, or feature maps of these."""
        images = images if self.augment is None else self.augment(images)
        return self.D.features(images) if isinstance(self.D, ProjectedDiscriminator) else images

    def _advance(self, batch_size: int, mean_sign: Tensor) -> None:
        """Count the step, and move all that follows the clock."""
        self.images_per_step = batch_size * self.trainer.world_size
        self.n_images += self.images_per_step
        self.n_steps += 1
        self._update_ema()
        if self.augment is not None:
            self.augment.observe(self._over_devices(mean_sign), self.n_steps, self.images_per_step)
            self.log("train/augment_p", self.augment.p, prog_bar=True)
            self.log("train/real_sign", mean_sign)
        self.log("n_images", float(self.n_images), prog_bar=True)
        if self.n_images >= self.total_images:
            self.trainer.should_stop = True

    def _over_devices(self, value: Tensor) -> Tensor:
        """The mean of a value over all devices."""
        mean = self.trainer.strategy.reduce(value.detach().clone(), reduce_op="mean")
        assert isinstance(mean, Tensor)
        return mean

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
        with self._float32():
            lengths = path_lengths(self.G.synthesis(ws, "random"), ws)
        self.pl_mean.copy_(lengths.mean().detach().lerp(self.pl_mean, 0.99))
        return (lengths - self.pl_mean).square().mean() * (self.pl_weight * self.pl_interval)

    def _update(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        mean = self._over_devices(loss)  # so that all processes stop together
        if not bool(torch.isfinite(mean)):
            self._stop(f"the loss became {mean.item()}")
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        optimizer.step()

    def check_finite(self) -> None:
        """Refuse to go on, or to be saved, with weights that are not finite.

        Raises:
            LatregError: some are not.
        """
        if not is_finite(self):
            self._stop("weights that are not finite came up")

    def _stop(self, reason: str) -> NoReturn:
        kept = last_good(self.last_checkpoint)
        raise LatregError(f"{reason} after {self.n_images} images, in step {self.n_steps + 1}; {kept}")

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
        for saved_state, optimizer in zip(checkpoint["optimizer_states"], self.configure_optimizers(), strict=True):
            for group, configured in zip(saved_state["param_groups"], optimizer.param_groups, strict=True):
                group.update(lr=configured["lr"], betas=configured["betas"])  # else those of the checkpoint win
        # Augmentation may be switched on and off between two parts of a training.
        saved, prefix = checkpoint["state_dict"], "augment."
        own = {name: value for name, value in self.state_dict().items() if name.startswith(prefix)}
        kept = {name: value for name, value in saved.items() if not name.startswith(prefix) or name in own}
        checkpoint["state_dict"] = own | kept
