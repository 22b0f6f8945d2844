"""Images of stripes, whose class a small classifier learns within a second."""

import torch

from latreg.config import ClassifierConfig, ClassifierTrainingConfig, Config, DatasetConfig, TrainerConfig
from latreg.data.images import ImageSet

CLASSES = ["left", "middle", "right"]


def stripes(n: int, seed: int) -> ImageSet:
    """Images (n, 1, 12, 12): a bright third says the class."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (n,), generator=rng)
    images = torch.randint(0, 100, (n, 1, 12, 12), generator=rng)
    columns = torch.arange(12) // 4
    images += 150 * (columns == labels[:, None])[:, None, None]
    return ImageSet(images.to(torch.uint8), labels)


def load_stripes(source: str, split: str, *_: object) -> ImageSet:
    """In the place of latreg.data.splits.load_images."""
    return stripes(120 if split == "train" else 60, len(split))


def stripes_config() -> Config:
    """A classifier of stripes that trains for 3 epochs of 6 steps."""
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
