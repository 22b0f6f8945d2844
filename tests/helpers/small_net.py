"""Classifiers of stripes that settings name by their import path, as a user's own are."""

import numpy as np
import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Random weights: what adapters must answer alike."""

    def __init__(self, width: int = 4, channels: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.norm.running_mean.uniform_(-0.5, 0.5)
        self.linear = nn.Linear(width * 9, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.conv(images)).relu()
        thirds = nn.functional.avg_pool2d(maps, images.shape[-1] // 3)
        return 10 * self.linear(thirds.flatten(1))


class Eye(nn.Module):
    """Sees the bright stripe only if its images are prepared as it expects; else all stripes look alike to it."""

    def __init__(self, expects: str = "unit") -> None:
        super().__init__()
        self.expects = expects
        self.linear = nn.Linear(3, 3, bias=False)
        self.linear.weight.data = 20 * torch.eye(3)

    def forward(self, images: Tensor) -> Tensor:
        seen = {
            "unit": lambda x: (x.clamp(0, 1) - 0.1).relu(),
            "bytes": lambda x: (x - 50).relu() / 200,
            "half": lambda x: -((-x).relu()),  # dark pixels are below 0
            "negative": lambda x: (0.5 - x).relu(),
        }[self.expects](images)
        return self.linear(seen.unflatten(-1, (3, -1)).mean((1, 2, 4)))


class Blind(nn.Module):
    """Sees nothing, whatever it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.weight * images.mean() + torch.zeros(len(images), 3)


_net = Net().eval()


@torch.no_grad()
def probabilities(images: np.ndarray) -> np.ndarray:
    """What a service would answer that runs `Net`."""
    assert images.dtype == np.float32
    return _net(torch.from_numpy(images)).softmax(1).numpy()


def as_lists(images: np.ndarray) -> list[list[float]]:
    return probabilities(images).tolist()


def logits(images: np.ndarray) -> Tensor:
    return _net(torch.from_numpy(images))


class Flaky:
    """Fails the first `failures` times."""

    def __init__(self) -> None:
        self.failures, self.calls = 0, 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError("no route to host")
        return probabilities(images)


flaky = Flaky()
not_callable = 3


def too_many_classes(images: np.ndarray) -> np.ndarray:
    return np.full((len(images), 10), 0.1)


def not_a_number(images: np.ndarray) -> np.ndarray:
    return np.full((len(images), 3), np.nan)


def broken(images: np.ndarray) -> np.ndarray:
    raise RuntimeError("shape mismatch\nand many more lines")
