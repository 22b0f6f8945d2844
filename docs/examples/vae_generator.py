"""A small conditional VAE (arXiv 1312.6114) whose decoder latreg searches. Train it on MNIST with

    python vae_generator.py vae.pt

and search it with `generator=own generator._target_=vae_generator.VAEGenerator +generator.args.weights=vae.pt`.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latreg.config import DatasetConfig
from latreg.data.images import pad_to, to_unit
from latreg.data.splits import load_images, resolve_source
from latreg.zoo.weights import sha256

Z_DIM, W_DIM, CLASSES = 16, 128, 10


class Decoder(nn.Module):
    """z and class to w by a first layer, and w to images of 1x32x32 by the others."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(Z_DIM + CLASSES, W_DIM)
        self.rest = nn.Sequential(
            *(nn.Linear(W_DIM, 64 * 8 * 8), nn.ReLU(), nn.Unflatten(1, (64, 8, 8))),
            *(nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), nn.ReLU()),
            *(nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1), nn.Sigmoid()),
        )

    def map(self, z: Tensor, c: Tensor) -> Tensor:
        return F.relu(self.first(torch.cat([z, F.one_hot(c, CLASSES).float()], dim=1)))


class VAEGenerator:
    """Fulfils latreg.interfaces.Generator: w has one layer, what the decoder's first layer says."""

    conditional = True
    num_classes = CLASSES
    num_ws = 1
    z_dim = Z_DIM

    @torch.inference_mode()
    def __init__(self, weights: str, device: torch.device) -> None:
        self.decoder = Decoder().to(device).eval()
        self.decoder.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
        self.id = sha256(Path(weights))
        z = torch.randn(1000, Z_DIM, generator=torch.Generator().manual_seed(0)).to(device)
        classes = torch.arange(CLASSES, device=device)
        self.w_avg_class = torch.stack([self.decoder.map(z, c.expand(1000)).mean(dim=0) for c in classes])
        self.w_avg = self.w_avg_class.mean(dim=0)

    @torch.inference_mode()
    def map(self, z: Tensor, c: Tensor) -> Tensor:
        return self.decoder.map(z, c)[:, None]

    @torch.inference_mode()
    def synthesize(self, w: Tensor) -> Tensor:
        return self.decoder.rest(w[:, 0])


def train(path: str, epochs: int = 3, batch: int = 128) -> None:
    """Minimize reconstruction error and divergence from N(0, 1)."""
    data = load_images(resolve_source(DatasetConfig(hub="ylecun/mnist", folder="mnist")), "train", channels=1)
    images = to_unit(pad_to(data.images, 32))
    encoder = nn.Sequential(
        *(nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(64 * 8 * 8, 2 * Z_DIM)),
    )
    decoder = Decoder()
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    for epoch in range(epochs):
        for index in torch.randperm(len(images)).split(batch):
            x = images[index]
            mean, log_variance = encoder(x).chunk(2, dim=1)
            z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            error = F.binary_cross_entropy(decoder.rest(decoder.map(z, data.labels[index])), x, reduction="sum")
            divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
            loss = (error + divergence) / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1} of {epochs}: loss {loss.item():.1f}", flush=True)
    torch.save(decoder.state_dict(), path)


if __name__ == "__main__":
    train(sys.argv[1])
