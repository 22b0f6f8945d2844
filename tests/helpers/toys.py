"""A linear generator and a linear SUT, small enough that the boundary between two classes can be solved for."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from latreg.interfaces import Appraisal, Verdict
from latreg.search.slopes import WhiteBox

SIZE = 16


class LinearGenerator:
    """Pixels are 0.5 plus a linear map of the mean over layers of w; w is z / 4 plus the mean of its class."""

    id = "linear-generator"

    def __init__(self, num_classes: int = 3, num_ws: int = 8, z_dim: int = 6) -> None:
        rng = torch.Generator().manual_seed(0)
        self.num_classes, self.num_ws, self.z_dim = num_classes, num_ws, z_dim
        self.w_avg_class = torch.randn(num_classes, z_dim, generator=rng)
        self.w_avg = self.w_avg_class.mean(dim=0)
        self.matrix = torch.randn(z_dim, SIZE * SIZE, generator=rng) * 0.02
        self.offset = torch.rand(SIZE * SIZE, generator=rng) * 0.2 + 0.4  # dithers the rounding to 8 bits

    def map(self, z: Tensor, c: Tensor) -> Tensor:
        w = z / 4 + self.w_avg_class[c]
        return w[:, None].expand(-1, self.num_ws, -1)

    def synthesize(self, w: Tensor) -> Tensor:
        return (self.offset + w.mean(dim=1) @ self.matrix).reshape(-1, 1, SIZE, SIZE)


class LinearSUT:
    """Logits are projections of the pixels onto the direction in which each class lies."""

    id = "linear-sut"

    def __init__(self, generator: LinearGenerator, sharpness: float = 20.0) -> None:
        self.num_classes = generator.num_classes
        self.offset = generator.offset
        inverse = torch.linalg.pinv(generator.matrix)  # pixels => w
        self.weight = inverse @ (generator.w_avg_class - generator.w_avg).T * sharpness
        self.bias = (
            -0.5 * sharpness * (generator.w_avg_class.square().sum(1) - generator.w_avg @ generator.w_avg_class.T * 2)
        )
        self.seen: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.seen.append(images.clone())
        return self.logits(images.flatten(1) - self.offset).softmax(dim=1)

    def logits(self, pixels: Tensor) -> Tensor:
        return pixels @ self.weight + self.bias


class LinearWhiteBox(WhiteBox):
    """Differentiates the two, and counts how often."""

    def __init__(self, generator: LinearGenerator, sut: LinearSUT) -> None:
        super().__init__(generator.synthesize, lambda images: sut.logits(images.flatten(1) - sut.offset))
        self.asked = 0

    def __call__(self, w: Tensor, label: int) -> np.ndarray:
        self.asked += 1
        return super().__call__(w, label)


class ScriptedAppraiser:
    """Verdicts without a judge: everything is valid unless told otherwise."""

    columns: ClassVar = {"ssim": float, "screened": bool, "label_kept": bool}

    def __init__(self, valid: bool = True, screened: bool = True) -> None:
        self.valid, self.screened = valid, screened
        self.asked: list[Appraisal] = []

    def __call__(self, pairs: list[Appraisal]) -> list[Verdict]:
        self.asked += pairs
        return [Verdict(self.valid, {"ssim": 1.0, "screened": self.screened, "label_kept": self.valid}) for _ in pairs]
