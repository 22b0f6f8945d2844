"""Typical of its class or not: how far an image lies from real images of a class, in the features of a classifier.

Source: Lee et al. 2018 (arXiv 1807.03888): a Gaussian of each class, with one covariance for all. Here the features are
of several layers at once, and the covariance is that of a few axes and equal beyond them (Tipping and Bishop 1999). The
classifier is neither SUT nor judge.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latreg.classifier.networks import Classifier, build
from latreg.classifier.optimized import optimized
from latreg.classifier.sut import finite
from latreg.compute.batches import in_batches
from latreg.compute.products import RowProduct
from latreg.config import DatasetConfig
from latreg.errors import LatregError
from latreg.validity.thresholded import Thresholded
from latreg.zoo import weights

KIND = "density"  # what the description in a weights file says it is
HELD_OUT = "held_out_distances"  # the tensor in the file that the threshold is read from


class DensityNetwork(nn.Module):
    """The classifier, and the Gaussians of its features.

    Args:
        classifier: whose feature maps are looked at.
        features: D, see `described`.
        axes: R, along which the covariance is known.
    """

    means: Tensor
    axes: Tensor
    variances: Tensor
    floor: Tensor

    def __init__(self, classifier: Classifier, features: int, axes: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("means", torch.zeros(classifier.num_classes, features))
        self.register_buffer("axes", torch.zeros(features, axes))  # of length 1, at right angles
        self.register_buffer("variances", torch.ones(axes))  # along them
        self.register_buffer("floor", torch.ones(1))  # added to the variances, and the only one in all other directions

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Set the Gaussians by features (N, D) of images and their classes (N,)."""
        classes = range(len(self.means))
        self.means.copy_(torch.stack([features[labels == label].mean(0) for label in classes]))
        variances, axes = torch.linalg.eigh(torch.cov((features - self.means[labels]).T.double()))
        self.axes.copy_(axes.flip(1)[:, : self.axes.shape[1]])
        self.variances.copy_(variances.flip(0)[: len(self.variances)])
        self.floor.fill_(float(variances.mean()))


def described(classifier: Classifier, images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [0, 1] => mean, largest value and spread of each channel of its feature maps (N, D).

    Each of the three is scaled to length 1 in each map. Every image is described alone, to the bit.
    """
    return _of_maps(classifier.feature_maps(images))


def _of_maps(maps: Sequence[Tensor]) -> Tensor:
    """Feature maps (N, C, h, w) => (N, D)."""
    flat = [feature_map.flatten(2) for feature_map in maps]
    return torch.stack([torch.cat([_described(own[i]) for own in flat]) for i in range(len(flat[0]))])


def _described(channels: Tensor) -> Tensor:
    """(D, h w) => (3 D,)."""
    parts = channels.mean(1), channels.amax(1), channels.std(1)
    return torch.cat([F.normalize(part, dim=0) for part in parts])


class _FeatureMaps(nn.Module):
    """The feature maps of a classifier, in a form that can be optimized."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self._classifier = classifier

    def forward(self, images: Tensor) -> list[Tensor]:
        return self._classifier.feature_maps(images)


class ClassDensity(Thresholded[DensityNetwork]):
    """Distances of images from a class; those above the threshold are not typical of it."""

    @cached_property
    def _maps(self) -> nn.Module:
        return optimized(_FeatureMaps(self.network.classifier))

    @cached_property
    def _project(self) -> RowProduct:
        return RowProduct(self.network.axes)

    def distances(self, images: Tensor, labels: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => their Mahalanobis distances from the classes (N,), float64 on the CPU.

        Raises:
            NotFiniteError: some are NaN or infinite.
        """
        if not len(images):
            return torch.zeros(0, dtype=torch.float64)
        features = self.features(images)
        offsets = (features - self.network.means.cpu()[labels]).to(self.device)
        along = self._project(offsets).double()
        squares = torch.stack([one.double().square().sum() for one in offsets])
        gains = self.network.variances / (self.network.variances + self.network.floor)
        within = torch.stack([(one.square() * gains).sum() for one in along])
        return ((squares - within) / self.network.floor.double()).clamp(min=0).sqrt().cpu()

    def features(self, images: Tensor) -> Tensor:
        """One or more images (N, C, H, W) in [0, 1] => what their network sees in each (N, D), on the CPU.

        Raises:
            NotFiniteError: some are NaN or infinite.
        """
        return in_batches(self._features, images, self.batch)

    @torch.inference_mode()
    def _features(self, images: Tensor) -> Tensor:
        return finite(_of_maps(self._maps(images.to(self.device))), "the class density")


def load_density(
    name: str, dataset: DatasetConfig, quantile: float, device: str | torch.device = "cpu", batch: int = 16
) -> ClassDensity:
    """A density from a weights file (a path or zoo:<name>), which describes its own network.

    Raises:
        LatregError: there is no such file, it holds no density, or one for other classes or channels than the data
            set's.
    """
    path = weights.resolve(name, "validity.density")
    state, description = weights.load(path, KIND)
    for size, wanted in (("channels", dataset.channels), ("num_classes", len(dataset.class_names))):
        if description[size] != wanted:
            raise LatregError(
                f"the data set {dataset.name} needs a density with {size}={wanted}, but the one in {path} has "
                f"{size}={description[size]}"
            )
    distances = weights.held_out_of(state, HELD_OUT, path)

    def make() -> DensityNetwork:
        made = {key: description[key] for key in ("network", "channels", "num_classes", "network_args")}
        classifier = build(**made, source=f"the description in {path}")
        return DensityNetwork(classifier, description["features"], description["axes"])

    network = weights.built(make, state, path)
    return ClassDensity.of_file(path, network, distances, quantile=quantile, device=device, batch=batch)
