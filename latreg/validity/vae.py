"""In distribution or not: what a variational autoencoder of the real images cannot reconstruct is none of them.

Source: SelfOracle (Stocco et al., ICSE 2020). Its threshold is a quantile of the errors of real images that the
network was not trained on.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

from latreg.classifier.optimized import optimized
from latreg.classifier.sut import finite
from latreg.compute.batches import in_batches
from latreg.config import DatasetConfig
from latreg.errors import LatregError
from latreg.validity.thresholded import Thresholded
from latreg.zoo import weights

KIND = "vae"  # what the description in a weights file says it is
HELD_OUT = "held_out_errors"  # the tensor in the file that the thresholds are read from


class VAE(nn.Module):
    """Convolutions down to a Gaussian latent, and back.

    Args:
        channels: C.
        resolution: H = W, a multiple of 2 to the number of widths.
        latent_dim: D.
        widths: channels after each halving of the resolution.
    """

    def __init__(self, channels: int, resolution: int, latent_dim: int, widths: Sequence[int]) -> None:
        super().__init__()
        smallest = resolution >> len(widths)
        if smallest << len(widths) != resolution:
            raise LatregError(f"the resolution must be a multiple of {2 ** len(widths)}, got {resolution}")
        sizes = [channels, *widths]
        down = [_halve(before, after) for before, after in pairwise(sizes)]
        up = [_double(before, after) for before, after in pairwise(sizes[:0:-1])]
        features = widths[-1] * smallest**2
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(features, 2 * latent_dim))
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, features),
            nn.Unflatten(1, (widths[-1], smallest, smallest)),
            *up,
            nn.ConvTranspose2d(widths[0], channels, 4, 2, padding=1),
            nn.Sigmoid(),
        )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) in [0, 1] => mean and log variance of the latent, (N, D) each."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        return mean, log_variance.clamp(-20, 10)

    def decode(self, latent: Tensor) -> Tensor:
        """Latents (N, D) => images (N, C, H, W) in [0, 1]."""
        images: Tensor = self.decoder(latent)
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => what is left of them, by way of the mean of the latent."""
        mean, _ = self.encode(images)
        return self.decode(mean)


def _halve(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 4, 2, padding=1), nn.BatchNorm2d(after), nn.SiLU())


def _double(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(before, after, 4, 2, padding=1), nn.BatchNorm2d(after), nn.SiLU())


class ValidityModel(Thresholded[VAE]):
    """Reconstruction errors of images; those above the threshold are out of the distribution."""

    @cached_property
    def _optimized(self) -> nn.Module:
        return optimized(self.network)

    def errors(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => their mean squared error per pixel (N,), on the CPU.

        Raises:
            NotFiniteError: some are NaN or infinite.
        """
        return in_batches(self._errors, images, self.batch) if len(images) else torch.zeros(0)

    @torch.inference_mode()
    def _errors(self, images: Tensor) -> Tensor:
        images = images.to(self.device)
        errors = torch.stack([one.square().mean() for one in self._optimized(images) - images])
        return finite(errors, "the VAE")


def load_validity_model(
    name: str, dataset: DatasetConfig, quantile: float, device: str | torch.device = "cpu", batch: int = 16
) -> ValidityModel:
    """A validity model from a weights file (a path or zoo:<name>), which describes its own network.

    Raises:
        LatregError: there is no such file, it holds no VAE, or one for other images than the data set's.
    """
    path = weights.resolve(name, "validity.vae")
    state, description = weights.load(path, KIND)
    for size in ("channels", "resolution"):
        if description[size] != getattr(dataset, size):
            raise LatregError(
                f"the data set {dataset.name} needs a VAE with {size}={getattr(dataset, size)}, "
                f"but the one in {path} has {size}={description[size]}"
            )
    errors = weights.held_out_of(state, HELD_OUT, path)
    made = {size: description[size] for size in ("channels", "resolution", "latent_dim", "widths")}
    network = weights.built(lambda: VAE(**made), state, path)
    return ValidityModel.of_file(path, network, errors, quantile=quantile, device=device, batch=batch)
