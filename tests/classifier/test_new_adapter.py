"""The four steps of CONTRIBUTING.md: a kind of classifier from its file to its records, with nothing else changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hydra.core.config_store import ConfigStore
from torch import Tensor

from latreg import replay
from latreg.classifier.adapters.adapted import Model
from latreg.config import DatasetConfig, OwnClassifierConfig
from latreg.data.images import load_probe, to_unit
from latreg.errors import LatregError
from latreg.runs.records import read_records
from latreg.zoo import weights


def load_means(config: "MeansConfig", dataset: DatasetConfig, device: torch.device) -> Model:
    """Step 1: an .npy file with the mean image of each class, of which the nearest answers."""
    path = weights.resolve(config.weights, "classifier.weights")
    means = torch.from_numpy(np.load(path)).to(device)
    if len(means) != len(dataset.class_names):
        raise LatregError(f"{path} must hold a mean for each of {len(dataset.class_names)} classes, got {len(means)}")

    def answer(images: Tensor) -> Tensor:
        return -config.sharpness * torch.cdist(images.flatten(1), means.flatten(1))

    return Model(answer, {path.name: weights.sha256(path)})


@dataclass
class MeansConfig(OwnClassifierConfig):
    """Step 2: its schema."""

    loader: ClassVar[str] = "tests.classifier.test_new_adapter.load_means"
    kind: str = "means"
    sharpness: float = 1.0


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    ConfigStore.instance().store(group="classifier", name="means_schema", node=MeansConfig)
    group = tmp_path / "conf" / "classifier"
    group.mkdir(parents=True)
    (group / "means.yaml").write_text("defaults: [means_schema]\nsharpness: 2.0\n")  # step 3
    images = load_probe(weights.probe_path("mnist"), 32)
    means = [to_unit(images.images[images.labels == label]).mean(dim=0) for label in range(10)]
    np.save(tmp_path / "means.npy", torch.stack(means).numpy())
    return [
        "+experiment=mnist_random",
        f"hydra.searchpath=[file://{tmp_path / 'conf'}]",
        "classifier=means",
        f"classifier.weights={tmp_path / 'means.npy'}",
        "search.sources_per_class=2",
        "search.classes=[0,1]",
        "device=cpu",
    ]


def test_it_is_tried_searched_and_replayed(cli, command, tmp_path):  # step 4
    assert cli(*command, f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    assert len(list(read_records(tmp_path / "run"))) == 4
    assert replay.main([str(tmp_path / "run")]) == 0


def test_its_settings_and_its_messages_are_those_of_the_others(cli, command):
    refused = cli(*command, "+classifier.network_args.a=1")[2]
    assert "classifier.network_args must be empty for classifier=means" in refused
    assert "classifier.weights" in cli(*command, "classifier.weights=nowhere.npy")[2]
