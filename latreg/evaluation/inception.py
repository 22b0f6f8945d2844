"""FID and KID: distances in the features of Inception, as other work reports them.

The network and its weights are those of torch-fidelity, which fetches the weights or is given a file, so both distances
are measured on request only.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
from torchmetrics.image.kid import KernelInceptionDistance

from latreg.errors import LatregError, reason

DOWNLOAD = "download"  # instead of a file: torch-fidelity fetches the weights
SUBSETS, SUBSET_SIZE = 100, 1000  # of KID (arXiv 1801.01401)


class InceptionDistances:
    """FID (arXiv 1706.08500) and KID (arXiv 1801.01401) to real images.

    Args:
        weights: of Inception, a file or `download`.
        real: images (N, C, H, W) uint8, C 1 or 3.

    Raises:
        LatregError: torch-fidelity is missing, or the weights cannot be had.
    """

    def __init__(self, weights: str, real: Tensor) -> None:
        self._network = load_inception(weights)
        self._real = self._features(real)

    def __call__(self, images: Tensor, suffix: str = "") -> dict[str, float]:
        """Both for images (N, C, H, W) uint8, under names that end in suffix."""
        fid, kid = fid_and_kid(self._real, self._features(images))
        return {f"inception_fid{suffix}": fid, f"inception_kid{suffix}": kid}

    @torch.inference_mode()
    def _features(self, images: Tensor) -> Tensor:
        """(N, 2048); gray images get three equal channels."""
        chunks = torch.split(images, 50)
        return torch.cat([self._network(chunk.expand(-1, 3, -1, -1)).flatten(1) for chunk in chunks])


def load_inception(weights: str) -> nn.Module:
    """The Inception of the original FID, uint8 images (N, 3, H, W) => features (N, 2048).

    Raises:
        LatregError: torch-fidelity is missing, or the weights cannot be had.
    """
    if weights != DOWNLOAD and not Path(weights).is_file():
        raise LatregError(f"evaluation.inception must be a file or {DOWNLOAD}, got {weights}")
    try:
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], None if weights == DOWNLOAD else weights)
    except ModuleNotFoundError as error:
        raise LatregError(
            f"evaluation.inception needs an extra: pip install 'latreg[fid]' ({reason(error)})"
        ) from error
    except Exception as error:  # of a file that holds something else, or of a network that cannot be reached
        raise LatregError(
            f"evaluation.inception={weights} gives no weights of Inception, as torch-fidelity publishes them: "
            f"{reason(error)}"
        ) from error


def fid_and_kid(real: Tensor, samples: Tensor) -> tuple[float, float]:
    """FID and KID of features (N, D) and (M, D); KID is the mean over random subsets, which are always the same."""
    size = min(SUBSET_SIZE, len(real), len(samples))
    as_they_are = nn.Flatten()  # the features are there
    fid = FrechetInceptionDistance(as_they_are, input_img_size=(real.shape[1], 1, 1), sync_on_compute=False)
    kid = KernelInceptionDistance(as_they_are, subsets=SUBSETS, subset_size=size, sync_on_compute=False)
    for metric in (fid, kid):
        metric.update(real[:, :, None, None], real=True)
        metric.update(samples[:, :, None, None], real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return float(fid.compute()), float(kid.compute()[0])
