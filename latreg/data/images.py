"""Images as numbers: sets of labelled 8-bit images, and the way between 8 bits and [0, 1]. No framework in here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.errors import LatregError


@dataclass(frozen=True)
class ImageSet:
    """Labelled images: images (N, C, H, W) uint8, labels (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def slice(self, start: int, stop: int) -> "ImageSet":
        return ImageSet(self.images[start:stop], self.labels[start:stop])

    def spread(self, n: int) -> "ImageSet":
        """n images at equal distances in the file order, or all where there are not so many.

        The first n would not do: of MNIST's test images the first half was written by other people than the second.
        """
        n = min(n, len(self))
        index = torch.arange(n) * len(self) // max(n, 1)
        return ImageSet(self.images[index], self.labels[index])


def to_unit(images: Tensor) -> Tensor:
    """uint8 images to float32 in [0, 1]."""
    return images.float() / 255


def quantize(images: Tensor) -> Tensor:
    """float images in [0, 1] (clamped) to the nearest uint8 level: the image that is saved and that the SUT sees."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def pad_to(images: Tensor, resolution: int) -> Tensor:
    """Centre images (N, C, H, W) on a black square of the given resolution, at least as large as they are."""
    height, width = images.shape[-2:]
    if max(height, width) > resolution:
        raise LatregError(f"images must fit into {resolution}x{resolution}, got {height}x{width}")
    top, left = (resolution - height) // 2, (resolution - width) // 2
    return F.pad(images, (left, resolution - width - left, top, resolution - height - top))


def load_probe(path: Path, resolution: int) -> ImageSet:
    """Labelled images from a file of `save_probe`, padded."""
    with np.load(path) as arrays:
        return ImageSet(pad_to(torch.from_numpy(arrays["images"]), resolution), torch.from_numpy(arrays["labels"]))


def save_probe(path: Path, images: ImageSet) -> None:
    """Write labelled images to a small file that can be shipped."""
    np.savez_compressed(path, images=images.images.numpy(), labels=images.labels.numpy())
