"""A classifier of stripes, and the folder of a run that found in it what training can put right."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch.nn.functional as F

from latreg.classifier.training import train_classifier
from latreg.runs.records import write_part
from latreg.training.datamodule import DataModule
from latreg.zoo.weights import sha256
from tests.helpers.example_records import MEASURED, pair
from tests.helpers.settings import saved
from tests.helpers.stripes import CLASSES, load_stripes, stripes, stripes_config

FAULTS = 30


@contextmanager
def stripes_as_data() -> Iterator[None]:
    """Stripes are what every data set holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LATREG_DATA", raising=False)
        patch.setattr("latreg.data.splits.load_images", load_stripes)
        yield


def trained_stripes(folder: Path) -> Path:
    """The weights file of a classifier of stripes."""
    cfg = stripes_config()
    return Path(train_classifier(cfg, folder, None, DataModule(cfg.dataset, cfg.run_seed))["weights"])


def write_run(folder: Path, weights: Path, *settings: str) -> Path:
    """A run whose faults are negatives: stripes that are dark on bright, which the classifier has never seen."""
    folder.mkdir()
    named = {"name": "stripes", "hub": "toy", "folder": "toy", "resolution": 16, "validation_size": 20}
    of_data = [
        *(f"dataset.{key}={value}" for key, value in named.items()),
        f"dataset.class_names=[{','.join(CLASSES)}]",
    ]
    made_with = ("+experiment=mnist_mixing", *of_data, f"classifier.weights={weights}", *settings)
    (folder / "config.yaml").write_text(saved(*made_with))
    shown, sut_id = stripes(FAULTS, seed=7), sha256(weights)
    images, labels = F.pad(shown.images, (2, 2, 2, 2)).numpy(), shown.labels.tolist()
    rows = [
        replace(
            pair(label=label, z_seed=number, predicted=(label + 1) % 3, source_predicted=label, sut_id=sut_id),
            source_image=image,
            first_image=255 - image,
            last_image=image,
        )
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    write_part(folder, 0, rows, MEASURED)
    return folder
