"""How good a generator is to test with: agreement with the judge, Frechet distance, what a classifier learns from it.

Features are those before the last layer of the judge's first member, so distances carry that name: they are no FID.
"""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from latreg import weights
from latreg.classifier.networks import Classifier
from latreg.classifier.sut import TorchSUT, load_sut
from latreg.classifier.training import train_classifier
from latreg.config import Config
from latreg.data import DataModule
from latreg.errors import LatregError
from latreg.generator.pretrained import StyleGAN2, load_generator
from latreg.images import ImageSet, to_unit
from latreg.interfaces import Proposal, Source
from latreg.metrics import wilson
from latreg.search.renderer import Renderer, Request
from latreg.validity.judge import Judge

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


def draw(
    generator: StyleGAN2, n: int, psi: float, center: str, chunk: int, first_z_seed: int = FIRST_Z_SEED
) -> ImageSet:
    """n samples, n / K of each class in turn, as the 8-bit images that would be saved."""
    renderer = Renderer(generator, center, cutoff=None, chunk=chunk)
    classes = generator.num_classes
    sources = [Source(i % classes, first_z_seed + i) for i in range(n)]
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


class TrainingScores:
    """Scores on 1,000 samples to watch a training by; none as long as there is no judge."""

    def __init__(self, cfg: Config, data: DataModule) -> None:
        self._judge: Judge | None = None
        try:
            members = load_judge_members(cfg)
        except LatregError as error:
            log.warning("no scores while training: %s", error)
            return
        self._judge = Judge(members)
        self._distance = FrechetDistance(JudgeFeatures(members[0].network), data.split("test").images)

    def __call__(self, generator: StyleGAN2) -> dict[str, float]:
        if self._judge is None:
            return {}
        samples = draw(generator, QUICK_SAMPLES, 1.0, "class", chunk=16)
        return {
            "judge_agreement": agreement(self._judge, samples) / len(samples),
            "judge_frechet_distance": self._distance(samples.images),
        }


def load_judge_members(cfg: Config, device: str | torch.device = "cpu") -> list[TorchSUT]:
    """The classifiers that `validity.judge` names."""
    return [load_sut(name, cfg.dataset, device) for name in cfg.validity.judge]


def evaluate_generator(cfg: Config, run_dir: Path, data: DataModule) -> dict[str, Any]:
    """All scores of a model card; writes the card, completed, into the run's folder.

    Raises:
        LatregError: weights of the generator or the judge are missing, or the real data are.
    """
    generator = load_generator(cfg.generator, cfg.dataset, torch.device("cpu"))
    members = load_judge_members(cfg)
    recipe = cfg.evaluation
    samples = {
        f"psi_{psi:g}_{center}": draw(generator, recipe.samples, psi, center, chunk=16)
        for psi, center in ((1.0, "class"), (0.7, "class"), (0.7, "global"))
    }
    results: dict[str, Any] = {"samples": recipe.samples, "generator_sha256": generator.id}
    judge = Judge(members)
    for name, images in samples.items():
        agreed = agreement(judge, images)
        results[f"judge_agreement_{name}"] = agreed / len(images)
        results[f"judge_agreement_{name}_ci95"] = wilson(agreed, len(images))
    results |= distances(JudgeFeatures(members[0].network), samples["psi_1_class"].images, data)
    results |= learn_from_samples(cfg, generator, data, run_dir)
    path = weights.resolve(cfg.generator.weights, "generator")
    card = weights.read_card(path) | {"scores": results, "measured_by": f"python -m latreg.run +experiment={cfg.name}"}
    weights.write_card(run_dir / path.name, card)
    return results


def distances(features: JudgeFeatures, samples: Tensor, data: DataModule) -> dict[str, float]:
    """Frechet distance of samples to the test images, beside that of as many training images."""
    distance = FrechetDistance(features, data.split("test").images)
    return {
        "judge_frechet_distance": distance(samples),
        "judge_frechet_distance_of_train": distance(data.split("train").images[: len(samples)]),
    }


def learn_from_samples(cfg: Config, generator: StyleGAN2, data: DataModule, run_dir: Path) -> dict[str, Any]:
    """Accuracy on real test images of a classifier trained on samples at psi = 1 alone: it measures diversity."""
    samples = draw(generator, cfg.evaluation.training_samples, 1.0, "class", chunk=16)
    results = train_classifier(cfg, run_dir / "classifier_of_samples", None, data.with_training_images(samples))
    return {
        "training_samples": len(samples),
        "accuracy_trained_on_samples": results["test_accuracy"],
        "accuracy_trained_on_samples_ci95": results["test_accuracy_ci95"],
        "test_images": results["test_images"],
    }
