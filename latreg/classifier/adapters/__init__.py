"""Classifiers that were made elsewhere, as the system under test: one file for each kind of them."""

import torch

from latreg.classifier.adapters.adapted import AdaptedSUT, Model, make_sut
from latreg.classifier.adapters.live import load_live
from latreg.classifier.sut import load_sut
from latreg.config import (
    CallableClassifierConfig,
    ClassifierConfig,
    DatasetConfig,
    ExportClassifierConfig,
    HuggingFaceClassifierConfig,
    LiveFunctionConfig,
    LiveModuleConfig,
    OnnxClassifierConfig,
    OwnClassifierConfig,
    TimmClassifierConfig,
    TorchClassifierConfig,
)
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
    if isinstance(config, LiveModuleConfig | LiveFunctionConfig):
        return make_sut(config, load_live(config, device), dataset, device)
    return make_sut(config, _load_model(config, dataset, device), dataset, device)


def _load_model(config: OwnClassifierConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """What a kind needs is imported only where it is used."""
    if config.network_args and not isinstance(config, TorchClassifierConfig | TimmClassifierConfig):
        raise LatregError(
            f"classifier.network_args must be empty for classifier={config.kind}, got {config.network_args}"
        )
    match config:
        case TorchClassifierConfig():
            from latreg.classifier.adapters.module import load_torch

            return load_torch(config, device)
        case TimmClassifierConfig():
            from latreg.classifier.adapters.module import load_timm

            return load_timm(config, dataset, device)
        case ExportClassifierConfig():
            from latreg.classifier.adapters.exported import load_export

            return load_export(config, device)
        case OnnxClassifierConfig():
            from latreg.classifier.adapters.onnx import load_onnx

            return load_onnx(config, device)
        case HuggingFaceClassifierConfig():
            from latreg.classifier.adapters.huggingface import load_huggingface

            return load_huggingface(config, dataset, device)
        case CallableClassifierConfig():
            from latreg.classifier.adapters.function import load_function

            return load_function(config)
    raise LatregError(f"classifier.kind must be that of a file in conf/classifier, got {config.kind!r}")
