import pytest

from latreg.config import ClassifierConfig, ClassifierTrainingConfig, Config, DatasetConfig, TrainerConfig
from tests.helpers.stripes import CLASSES, stripes


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Config:
    """A classifier of stripes that trains within a second: 3 epochs of 6 steps."""
    monkeypatch.delenv("LATREG_DATA", raising=False)
    monkeypatch.setattr(
        "latreg.data.splits.load_images",
        lambda source, split, *_: stripes(120 if split == "train" else 60, len(split)),
    )
    return Config(
        dataset=DatasetConfig(
            name="stripes", hub="toy", folder="toy", channels=1, resolution=16, validation_size=20, class_names=CLASSES
        ),
        classifier=ClassifierConfig(
            name="tiny",
            network="resnet",
            network_args={"widths": [4, 8]},
            weights="zoo:stripes_tiny",
            training=ClassifierTrainingConfig(
                epochs=3, batch_size=16, learning_rate=0.1, max_shift=1, max_rotation=5.0, flip=False, cutout=3
            ),
        ),
        trainer=TrainerConfig(accelerator="cpu", devices=1),
    )
