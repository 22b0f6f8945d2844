from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, Logger
from torch import Tensor

from latreg.classifier.module import ClassifierModule
from latreg.classifier.sut import load_sut
from latreg.classifier.training import train_classifier, weights_file
from latreg.config import STAGES, Config
from latreg.errors import LatregError, ResumeRefusedError
from latreg.jobs.device_worker import TRAININGS
from latreg.training.datamodule import DataModule
from latreg.zoo import weights

pytestmark = pytest.mark.filterwarnings("ignore")


def train(cfg: Config, run_dir: Path, logger: Logger | None = None) -> dict[str, Any]:
    return train_classifier(cfg, run_dir, logger, DataModule(cfg.dataset, cfg.run_seed))


def cut_at(step: int) -> Callable[..., Tensor]:
    """A training_step that fails at this step."""
    original = ClassifierModule.training_step

    def training_step(self: ClassifierModule, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        if self.global_step == step:
            raise RuntimeError("power cut")
        return original(self, batch, batch_idx)

    return training_step


def test_writes_weights_card_and_metrics(toy: Config, tmp_path: Path) -> None:
    metrics = train(toy, tmp_path)
    path = tmp_path / "stripes_tiny.safetensors"
    assert metrics["weights"] == str(path)
    assert metrics["test_accuracy"] > 0.9
    assert metrics["images_seen"] == 3 * 6 * 16
    card = weights.read_card(path)
    assert card["sha256"] == weights.sha256(path)
    assert card["test_images"] == 60
    assert card["test_accuracy"] == metrics["test_accuracy"]
    assert card["recipe"]["max_rotation"] == 5.0
    assert card["run_seed"] == 0
    assert {"torch", "lightning", "numpy"} <= card["versions"].keys()
    sut = load_sut(str(path), toy.dataset)
    assert sut.card == card
    assert sut.network.mean[0] > 0.1


def test_same_seed_same_file_other_seed_another(toy: Config, tmp_path: Path) -> None:
    ids = []
    for number, run_seed in enumerate([0, 0, 1]):
        toy.run_seed = run_seed
        train(toy, tmp_path / str(number))
        ids.append(weights.sha256(tmp_path / str(number) / "stripes_tiny.safetensors"))
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("step", [3, 6, 14])  # before and right after the first checkpoint, between later ones
def test_resumed_training_gives_the_same_weights(
    toy: Config, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ClassifierModule, "training_step", cut_at(step))
        with pytest.raises(RuntimeError, match="power cut"):
            train(toy, tmp_path / "cut")
    toy.resume = True
    resumed = train(toy, tmp_path / "cut")
    whole = train(toy, tmp_path / "whole")  # resume without a checkpoint starts from the beginning
    for metrics in (resumed, whole):
        metrics["id"] = weights.sha256(Path(metrics.pop("weights")))
        del metrics["seconds"]
    assert resumed == whole


def test_resuming_a_finished_training_writes_the_same_again(toy: Config, tmp_path: Path) -> None:
    first = train(toy, tmp_path)
    toy.resume = True
    again = train(toy, tmp_path)
    assert again | {"seconds": 0} == first | {"seconds": 0}


def test_resume_refuses_another_recipe(toy: Config, tmp_path: Path) -> None:
    train(toy, tmp_path)
    toy.resume = True
    toy.classifier.training.learning_rate = 0.2
    with pytest.raises(ResumeRefusedError, match=r"but learning_rate was 0.1 and is now 0.2"):
        train(toy, tmp_path)


def test_checkpoint_loads_by_itself(toy: Config, tmp_path: Path) -> None:
    train(toy, tmp_path)
    module = ClassifierModule.load_from_checkpoint(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert module.hparams["network_args"] == {"widths": [4, 8]}
    assert module(torch.rand(2, 1, 16, 16)).shape == (2, 3)


def test_logs_validation_accuracy(toy: Config, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="")
    train(toy, tmp_path, logger)
    assert "validation/accuracy" in (tmp_path / "metrics.csv").read_text()


def test_refuses_impossible_batches(toy: Config, tmp_path: Path) -> None:
    toy.classifier.training.batch_size = 101
    with pytest.raises(LatregError, match="must be at most the 100 training images, got 101"):
        train(toy, tmp_path)


def test_refuses_a_batch_that_the_devices_cannot_share(toy: Config, tmp_path: Path) -> None:
    toy.classifier.training.batch_size = 15
    toy.trainer.devices = 2
    with pytest.raises(LatregError, match="must be a multiple of the 2 devices, got 15"):
        train(toy, tmp_path)


def test_weights_file_is_named_as_the_setting(toy: Config, tmp_path: Path) -> None:
    assert weights_file(toy, tmp_path) == tmp_path / "stripes_tiny.safetensors"
    toy.classifier.weights = "somewhere/else.safetensors"
    assert weights_file(toy, tmp_path) == tmp_path / "else.safetensors"
    toy.classifier.weights = None
    assert weights_file(toy, tmp_path) == tmp_path / "stripes_tiny.safetensors"


@pytest.mark.parametrize("named", ["zoo:photos.v2_tiny", "some.where/photos.v2_tiny.safetensors", None])
def test_a_dot_in_the_name_stays(toy: Config, tmp_path: Path, named: str | None) -> None:
    toy.dataset.name, toy.classifier.weights = "photos.v2", named
    assert weights_file(toy, tmp_path) == tmp_path / "photos.v2_tiny.safetensors"


def test_numbers_that_are_lost_end_the_training_before_they_are_kept(toy: Config, tmp_path: Path) -> None:
    toy.classifier.training.learning_rate = 1e38
    with pytest.raises(LatregError, match=r"(loss became nan|not finite) .*in step \d+; no checkpoint is there"):
        train(toy, tmp_path)
    assert not list(tmp_path.glob("**/*.ckpt"))
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_damaged_checkpoint_is_one_clear_error(toy: Config, tmp_path: Path, content: bytes) -> None:
    train(toy, tmp_path)
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(content)
    toy.resume = True
    with pytest.raises(LatregError, match=f"expected a whole checkpoint in {checkpoint}, but "):
        train(toy, tmp_path)


def test_no_epochs_are_refused(toy: Config, tmp_path: Path) -> None:
    toy.classifier.training.epochs = 0
    with pytest.raises(LatregError, match=r"training\.epochs must be at least 1, got 0"):
        train(toy, tmp_path)


def test_a_full_disk_is_one_clear_error(toy: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("latreg.classifier.training.weights.save", full)
    with pytest.raises(LatregError, match=r"with free space, but: No space left on device"):
        train(toy, tmp_path)


def test_every_training_can_run_on_several_devices() -> None:
    assert {stage for stage in STAGES if stage.startswith("train_")} == set(TRAININGS)
