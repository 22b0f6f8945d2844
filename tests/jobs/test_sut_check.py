"""What is asked of a classifier where there are no test images."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from latreg.classifier.adapters import load_classifier
from latreg.config import CallableClassifierConfig, DatasetConfig
from latreg.errors import LatregError
from latreg.jobs.sut_check import NOISE_IMAGES, check_sut
from tests.helpers import small_net
from tests.helpers.stripes import CLASSES

DATASET = DatasetConfig(name="stripes", channels=1, resolution=12, class_names=CLASSES)


def random(images: np.ndarray) -> np.ndarray:
    return np.random.default_rng().dirichlet(np.ones(3), len(images))


def of_the_batch(images: np.ndarray) -> np.ndarray:
    return small_net.probabilities(images - images.mean())


@pytest.mark.parametrize(
    ("function", "outputs", "message"),
    [
        ("tests.helpers.small_net.probabilities", "probabilities", None),
        ("tests.helpers.small_net.probabilities", "logits", "classifier.outputs=probabilities is right then"),
        (f"{__name__}.random", "probabilities", "asked twice its answers differ"),
        (f"{__name__}.of_the_batch", "probabilities", "whatever is asked beside it"),
    ],
)
def test_noise_shows_what_needs_no_labels(function: str, outputs: str, message: str | None) -> None:
    config = CallableClassifierConfig(function=function, outputs=outputs, probe_images=0)
    sut: Any = load_classifier(config, DATASET, torch.device("cpu"))
    cfg: Any = SimpleNamespace(classifier=config, dataset=DATASET)
    if message is None:
        check_sut(cfg, sut)
        assert sut.usage.images < 3 * NOISE_IMAGES
        return
    with pytest.raises(LatregError, match=message):
        check_sut(cfg, sut)
