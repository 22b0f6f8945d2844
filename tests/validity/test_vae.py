from pathlib import Path

import pytest
import torch

from latreg.config import Config, DatasetConfig, TrainerConfig, VAETrainingConfig, ValidityConfig
from latreg.data.images import ImageSet, to_unit
from latreg.errors import LatregError, NotFiniteError
from latreg.training.datamodule import DataModule
from latreg.validity.module import VAEModule
from latreg.validity.training import train_validity
from latreg.validity.vae import VAE, ValidityModel, load_validity_model
from latreg.zoo import weights


def squares(n: int, seed: int) -> ImageSet:
    """Images (n, 1, 16, 16) of one bright square of 6 x 6 somewhere."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.zeros(n, 1, 16, 16, dtype=torch.uint8)
    for image, (y, x) in zip(images, torch.randint(0, 10, (n, 2), generator=rng).tolist(), strict=True):
        image[:, y : y + 6, x : x + 6] = 255
    return ImageSet(images, torch.zeros(n, dtype=torch.long))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Config:
    """A VAE of squares that trains within seconds."""
    monkeypatch.delenv("LATREG_DATA", raising=False)
    monkeypatch.setattr(
        "latreg.data.splits.load_images",
        lambda source, split, *_: squares(700 if split == "train" else 200, len(split)),
    )
    return Config(
        name="toy",
        dataset=DatasetConfig(
            name="squares", hub="toy", folder="toy", channels=1, resolution=16, validation_size=200, class_names=["a"]
        ),
        validity=ValidityConfig(
            judge=[],
            quantile=0.95,
            training=VAETrainingConfig(latent_dim=4, widths=[8, 16], epochs=12, batch_size=25, learning_rate=1e-2),
        ),
        trainer=TrainerConfig(accelerator="cpu", devices=1),
    )


def train(cfg: Config, run_dir: Path):
    return train_validity(cfg, run_dir, None, DataModule(cfg.dataset, cfg.run_seed))


def load(cfg: Config, path: str, quantile: float = 0.95) -> ValidityModel:
    return load_validity_model(path, cfg.dataset, quantile)


@pytest.mark.filterwarnings("ignore")
def test_knows_its_images_and_flags_others(toy: Config, tmp_path: Path) -> None:
    metrics = train(toy, tmp_path)
    model = load(toy, metrics["weights"])
    assert model.threshold == pytest.approx(metrics["threshold"])
    assert model.card["false_alarm_rate"] == metrics["false_alarm_rate"] == pytest.approx(0.05, abs=0.05)
    assert model.id == weights.sha256(Path(metrics["weights"]))
    assert metrics["flagged_with_noise"] > 0.9
    test = to_unit(squares(50, 7).images)
    assert (model.errors(test) <= model.threshold).float().mean() > 0.8
    assert (model.errors(1 - test) > model.threshold).all()
    assert load(toy, metrics["weights"], 0.5).threshold < model.threshold


@pytest.mark.filterwarnings("ignore")
def test_resumed_training_gives_the_same_weights(toy: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.validity.training.epochs = 2
    whole = train(toy, tmp_path / "whole")
    original = VAEModule.training_step

    def cut(self: VAEModule, batch, batch_idx):  # type: ignore[no-untyped-def]
        if self.global_step == 23:
            raise RuntimeError("power cut")
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(VAEModule, "training_step", cut)
        with pytest.raises(RuntimeError, match="power cut"):
            train(toy, tmp_path / "cut")
    toy.resume = True
    resumed = train(toy, tmp_path / "cut")
    assert weights.sha256(Path(resumed["weights"])) == weights.sha256(Path(whole["weights"]))


def test_an_error_does_not_depend_on_its_company() -> None:
    torch.manual_seed(0)
    model = ValidityModel(VAE(3, 32, 8, (8, 16, 32)), torch.rand(100), quantile=0.9, batch=4)
    images = torch.rand(11, 3, 32, 32)
    together = model.errors(images)
    assert torch.equal(together, torch.cat([model.errors(image[None]) for image in images]))
    assert model.errors(images[:0]).shape == (0,)


def test_errors_are_squares_per_pixel() -> None:
    model = ValidityModel(VAE(1, 16, 2, (4, 8)), torch.rand(10), quantile=0.5, batch=2)
    model._optimized = torch.zeros_like  # type: ignore[assignment]
    assert model.errors(torch.full((3, 1, 16, 16), 0.5)).tolist() == [0.25] * 3


@pytest.mark.parametrize("quantile", [0.0, 1.0, 99.0])
def test_a_quantile_is_between_0_and_1(quantile: float) -> None:
    with pytest.raises(LatregError, match=r"validity.quantile must lie between 0 and 1"):
        ValidityModel(VAE(1, 16, 2, (4, 8)), torch.rand(10), quantile=quantile)


def test_a_resolution_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(LatregError, match="must be a multiple of 8, got 28"):
        VAE(1, 28, 2, (4, 8, 16))


def test_other_weights_are_refused(toy: Config, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    weights.save(path, {"a": torch.zeros(1)}, {"kind": "generator"}, {}, half=False)
    with pytest.raises(LatregError, match=r"expected weights of a vae in .*got those of a generator"):
        load(toy, str(path))
    description = {"kind": "vae", "channels": 3, "resolution": 16, "latent_dim": 2, "widths": [4]}
    weights.save(path, {"a": torch.zeros(1)}, description, {}, half=False)
    with pytest.raises(LatregError, match=r"needs a VAE with channels=1, but the one in .* has channels=3"):
        load(toy, str(path))


def test_an_error_that_is_not_finite_is_told_with_its_image() -> None:
    model = ValidityModel(VAE(1, 16, 2, (4, 8)), torch.rand(10), quantile=0.5, batch=2)
    model._optimized = lambda images: images / images.amax((1, 2, 3), keepdim=True)  # type: ignore[assignment]
    images = torch.rand(5, 1, 16, 16)
    images[3] = 0
    with pytest.raises(NotFiniteError, match="the VAE must answer with finite numbers") as caught:
        model.errors(images)
    assert caught.value.image == 3
