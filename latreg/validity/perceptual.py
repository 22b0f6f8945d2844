"""LPIPS, the learned distance of two photographs (Zhang et al. 2018, arXiv 1801.03924), by its authors' package.

Needs the extra `lpips`, a torchvision that can be imported, and the ImageNet weights that torchvision fetches once.
"""

import warnings
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.compute.batches import filled, in_batches
from latreg.errors import LatregError
from latreg.interfaces import Columns
from latreg.validity.gate import Gate, Pairs

NETS = ("alex", "squeeze")
SIDE = 64  # pixels of the patches that LPIPS was trained on; smaller images are enlarged to it


class PerceptualDistance:
    """LPIPS 0.1 between images (N, C, H, W) in [0, 1], C of 1 or 3; 0 = the network sees no difference."""

    def __init__(self, net: str, device: torch.device, batch: int = 16, pretrained: bool = True) -> None:
        """Load the network.

        Args:
            net: one of NETS.
            device: where it runs.
            batch: images per forward pass; those of a few images are filled up.
            pretrained: with ImageNet weights; without, the numbers mean nothing.

        Raises:
            LatregError: an unknown network, lpips or torchvision cannot be imported, or the weights cannot be had.
        """
        if net not in NETS:
            raise LatregError(f"validity.lpips must be null or one of {', '.join(NETS)}, got {net!r}")
        try:
            import lpips
        except (ImportError, RuntimeError) as error:  # the latter from a torchvision that was built for another torch
            raise LatregError(
                f"validity.lpips={net} needs lpips and torchvision: pip install 'latreg[lpips]' ({error})"
            ) from error
        try:
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # lpips asks in an older way
                network = lpips.LPIPS(net=net, pnet_rand=not pretrained, verbose=False)
        except OSError as error:
            raise LatregError(
                f"validity.lpips={net} needs ImageNet weights, which torchvision could not fetch ({error}); without a "
                f"network, put them where torch looks for them: {torch.hub.get_dir()}/checkpoints"
            ) from error
        self._network = network.to(device).eval().requires_grad_(False)
        self._normalize = lpips.normalize_tensor
        self._device = device
        self._batch = batch

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """The distance of each pair, (N,)."""
        return (self.vectors(a) - self.vectors(b)).square().sum(dim=1)

    @torch.inference_mode()
    def vectors(self, images: Tensor) -> Tensor:
        """Images => vectors (N, V) on the CPU whose squared distances are LPIPS."""
        return in_batches(lambda some: self._vectors(filled(some))[: len(some)], images, self._batch)

    def _vectors(self, images: Tensor) -> Tensor:
        images = images.to(self._device).expand(-1, 3, -1, -1)
        if min(images.shape[-2:]) < SIDE:
            images = F.interpolate(images, size=(SIDE, SIDE), mode="bilinear")
        maps = self._network.net(self._network.scaling_layer(2 * images - 1))
        weights = [layer.model[-1].weight for layer in self._network.lins]  # (1, channels, 1, 1), none negative
        scaled = [
            self._normalize(m) * (w / (m.shape[2] * m.shape[3])).sqrt() for m, w in zip(maps, weights, strict=True)
        ]
        return torch.cat([m.flatten(1) for m in scaled], dim=1)


class Lpips(Gate):
    """The distance to the source: measured, and no gate."""

    name = "lpips"
    columns: ClassVar[Columns] = {"lpips": float}
    needs = "lpips"

    def __init__(self, lpips: PerceptualDistance) -> None:
        self.distance = lpips

    def measure(self, pairs: Pairs) -> Mapping[str, Tensor]:
        return {"lpips": self.distance(pairs.sources, pairs.candidates)}
