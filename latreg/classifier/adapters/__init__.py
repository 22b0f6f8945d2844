"""Classifiers that were made elsewhere, as the system under test: one file for each kind of them."""

import torch
from hydra.utils import get_method

from latreg.classifier.adapters.adapted import AdaptedSUT, make_sut
from latreg.classifier.sut import load_sut
from latreg.config import ClassifierConfig, DatasetConfig, OwnClassifierConfig
from latreg.errors import LatregError
from latreg.interfaces import SUT

__all__ = ["AdaptedSUT", "load_classifier"]


def load_classifier(config: ClassifierConfig, dataset: DatasetConfig, device: torch.device) -> SUT:
    """The classifier that the group `classifier` configures: one of latreg's own weights files, or one made elsewhere.

    Raises:
        LatregError: it is not there, cannot be loaded, does not fit the data set, or needs a package that is missing.
    """
    if not isinstance(config, OwnClassifierConfig):
        return load_sut(config.weights, dataset, device)
    if config.network_args and not config.takes_arguments:
        raise LatregError(
            f"classifier.network_args must be empty for classifier={config.kind}, got {config.network_args}"
        )
    load = get_method(config.loader)  # imports what this kind needs
    return make_sut(config, load(config, dataset, device), dataset, device)
