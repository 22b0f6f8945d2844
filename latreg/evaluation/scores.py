"""How good a generator's samples are: agreement with the judge, and distance to real images in the judge's features.

Features are those before the last layer of the judge's first member, so distances carry that name: they are no FID.
"""

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from latreg.classifier.networks import Classifier
from latreg.compute.device import CHUNK
from latreg.config import Config
from latreg.data.images import ImageSet, to_unit
from latreg.errors import LatregError
from latreg.evaluation.manifold import NEAREST, overlap
from latreg.generator.pretrained import StyleGAN2
from latreg.interfaces import Proposal, Source
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer
from latreg.training.datamodule import DataModule
from latreg.validity.judge import Judge
from latreg.validity.loading import check_guides, load_judge_members

log = logging.getLogger(__name__)

QUICK_SAMPLES = 1000
FIRST_Z_SEED = 1_000_000  # away from the seeds that searches start with


class JudgeFeatures(nn.Module):
    """uint8 images (N, C, H, W) => what a classifier's last layer sees (N, D)."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.features(to_unit(images))

    @torch.inference_mode()
    def of(self, images: Tensor) -> Tensor:
        """The same for any number of images."""
        return torch.cat([self(chunk) for chunk in torch.split(images, 500)])


def draw(generator: StyleGAN2, n: int, psi: float, center: str) -> ImageSet:
    """n samples, n / K of each class in turn, as the 8-bit images that would be saved."""
    renderer = Renderer(generator, center, cutoff=None, chunk=CHUNK[generator.w_avg.device.type])
    classes = generator.num_classes
    sources = [Source(i % classes, FIRST_Z_SEED + i) for i in range(n)]
    images = [renderer.render([Request(s, Proposal(psi)) for s in sources[i : i + 1000]]) for i in range(0, n, 1000)]
    return ImageSet(torch.cat(images).cpu(), torch.tensor([s.label for s in sources]))


def agreement(judge: Judge, samples: ImageSet) -> int:
    """On how many samples the judge sees the class they were made for."""
    chunks = [samples.slice(i, i + 500) for i in range(0, len(samples), 500)]
    return sum(int(judge.kept(to_unit(chunk.images), chunk.labels).sum()) for chunk in chunks)


class FrechetDistance:
    """Frechet distance to real images between Gaussians fitted to the features of a network (arXiv 1706.08500).

    Args:
        features: the network.
        real: images (N, C, H, W) uint8.
    """

    def __init__(self, features: JudgeFeatures, real: Tensor) -> None:
        size = (real.shape[1], real.shape[2], real.shape[3])
        self._metric = FrechetInceptionDistance(
            features, reset_real_features=False, input_img_size=size, sync_on_compute=False
        )
        self._update(real, real=True)

    def __call__(self, images: Tensor) -> float:
        """The distance of images (N, C, H, W) uint8; N should be well above the number of features."""
        self._metric.reset()
        self._update(images, real=False)
        return float(self._metric.compute())

    def _update(self, images: Tensor, real: bool) -> None:
        for chunk in torch.split(images, 500):
            self._metric.update(chunk, real=real)


class Distances:
    """Distances of samples to the real test images in the features of a network, and of training images for comparison.

    Args:
        features: the network.
        data: the real images.
        samples: how many will be compared. The Frechet distance is to all test images; overlaps are with as many
            test images as there are samples, for they depend on the numbers.
    """

    def __init__(self, features: JudgeFeatures, data: DataModule, samples: int) -> None:
        test, train = data.split("test"), data.split("train")
        self.frechet = FrechetDistance(features, test.images)
        self.train = train.spread(samples)
        self._features = features
        self._real = features.of(test.spread(min(samples, len(train))).images)

    @property
    def sizes(self) -> dict[str, int]:
        """Test images, and as many samples, whose overlap is measured; and the neighbour that a ball reaches to."""
        return {"overlap_images": len(self._real), "overlap_nearest": NEAREST}

    def overlap(self, samples: ImageSet, suffix: str) -> dict[str, float]:
        """Precision, recall, density and coverage, under names that end in suffix."""
        features = self._features.of(samples.images[: len(self._real)])
        return {f"judge_{name}_{suffix}": value for name, value in overlap(self._real, features).items()}

    def of_train(self) -> dict[str, float]:
        """All of them for training images: what a perfect generator would reach."""
        distance = self.frechet(self.train.images)
        return {"judge_frechet_distance_of_train": distance, **self.overlap(self.train, "of_train")}


class TrainingScores:
    """Scores on 1,000 samples to watch a training by; none as long as there is no judge.

    Args:
        guides: name and sha256 of the classifiers that guide the training.

    Raises:
        LatregError: one of them is a member of the judge.
    """

    def __init__(self, cfg: Config, data: DataModule, guides: Sequence[Mapping[str, str]] = ()) -> None:
        self._judge: Judge | None = None
        if not cfg.validity.judge:
            return
        try:
            members = load_judge_members(cfg)
        except LatregError as error:
            log.warning("no scores while training: %s", error)
            return
        check_guides(guides, members)
        self._judge = Judge(members, mirror=cfg.dataset.mirror)
        self._distance = FrechetDistance(JudgeFeatures(members[0].network), data.split("test").images)

    def __call__(self, generator: StyleGAN2) -> dict[str, float]:
        if self._judge is None:
            return {}
        samples = draw(generator, QUICK_SAMPLES, 1.0, "class")
        return {
            "judge_agreement": agreement(self._judge, samples) / len(samples),
            "judge_frechet_distance": self._distance(samples.images),
        }
