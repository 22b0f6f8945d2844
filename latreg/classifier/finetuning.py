"""Train a classifier of latreg on for a little, from its own weights, on images of one's choice."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch.utils.data import DataLoader

from latreg.classifier.module import ClassifierModule
from latreg.classifier.networks import Classifier
from latreg.classifier.sut import load_network
from latreg.config import ClassifierConfig, ClassifierTrainingConfig, DatasetConfig, OwnClassifierConfig, TrainerConfig
from latreg.data.images import ImageSet
from latreg.errors import LatregError
from latreg.json_files import checked
from latreg.training.datamodule import TrainingBatches
from latreg.training.devices import make_trainer
from latreg.training.fitting import StopWhereNotFinite
from latreg.zoo import weights

SLOWER = 10  # the learning rate is the recipe's, divided by this
ONE_DEVICE = TrainerConfig(devices=1)


@dataclass(frozen=True, eq=False)
class Finetuning:
    """A trained classifier, and how it is trained on.

    Attributes:
        path: of its weights file.
        id: sha256 of that file.
        network: as it is there; it stays as it is.
        description: of the network.
        card: the model card beside the file.
        recipe: that of the card, with a peak of the learning rate that is SLOWER times lower.
    """

    path: Path
    id: str
    network: Classifier
    description: Mapping[str, Any]
    card: Mapping[str, Any]
    recipe: ClassifierTrainingConfig

    def __call__(self, data: ImageSet, run_seed: int) -> Classifier:
        """A copy of the network, trained for one epoch on the data, with one cycle of the learning rate.

        Args:
            data: what it is shown once each, without the rest of the last batch.
            run_seed: of the order of the images and of their augmentation.

        Raises:
            LatregError: there are fewer images than a batch has, or the loss or the weights are not finite any more.
        """
        recipe = asdict(self.recipe)
        batch_size = recipe.pop("batch_size")
        del recipe["epochs"]
        if len(data) < batch_size:
            raise LatregError(f"expected at least the {batch_size} images of a batch to train on, got {len(data)}")
        module = ClassifierModule(
            **{name: self.description[name] for name in ("network", "network_args", "channels", "num_classes")},
            mean=self.network.mean.tolist(),
            std=self.network.std.tolist(),
            max_steps=len(data) // batch_size,
            run_seed=run_seed,
            **recipe,
        )
        module.network.load_state_dict(self.network.state_dict())
        trainer = make_trainer(
            ONE_DEVICE,
            max_steps=module.hparams["max_steps"],
            limit_val_batches=0,
            callbacks=[StopWhereNotFinite(None)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=sys.stderr.isatty(),
            enable_model_summary=False,
        )
        batches = TrainingBatches(data, batch_size, run_seed)
        trainer.fit(module, DataLoader(batches, batch_size=None))
        return module.network.cpu().eval()

    def at_full_rate(self) -> Self:
        """The same with the learning rate of the recipe."""
        return replace(self, recipe=replace(self.recipe, learning_rate=SLOWER * self.recipe.learning_rate))

    def save(self, path: Path, network: Classifier, card: Mapping[str, Any]) -> str:
        """Write a network that came from this one, with a card; returns its sha256."""
        known = {"name": path.stem, "made_from": {"name": self.path.stem, "sha256": self.id}}
        origin = {key: self.card[key] for key in ("dataset", "resolution", "classes") if key in self.card}
        content = {**origin, **self.description, **known, **card}
        return weights.save(path, network.state_dict(), dict(self.description), content, half=False)


def load_finetuning(config: ClassifierConfig, dataset: DatasetConfig, learning_rate: float | None = None) -> Finetuning:
    """The classifier that a configuration names, ready to be trained on.

    Args:
        learning_rate: peak of the cycle; None = that of its recipe, divided by SLOWER.

    Raises:
        LatregError: it was made elsewhere, or its card does not say how it was trained.
    """
    if isinstance(config, OwnClassifierConfig):
        raise LatregError(
            f"only classifiers of latreg can be trained on, got classifier={config.kind}: export the faults "
            "(python -m latreg.export) and train it where it was made"
        )
    path = weights.resolve(config.weights, "classifier.weights")
    network, card = load_network(path, dataset), weights.read_card(path)
    recipe = _recipe(card, path)
    rate = recipe.learning_rate / SLOWER if learning_rate is None else learning_rate
    description = weights.read_description(path)
    return Finetuning(path, weights.sha256(path), network, description, card, replace(recipe, learning_rate=rate))


def _recipe(card: Mapping[str, Any], path: Path) -> ClassifierTrainingConfig:
    source = f"recipe in {weights.card_path(path)}"
    if "recipe" not in card:
        raise LatregError(f"expected the {source}, which says how the classifier was trained, got none")
    found = checked(card["recipe"], source, ClassifierTrainingConfig, complete=False)
    names = {field.name for field in fields(ClassifierTrainingConfig)}
    recipe = ClassifierTrainingConfig(**{name: value for name, value in found.items() if name in names})
    if not isinstance(recipe.learning_rate, int | float):
        raise LatregError(f"expected learning_rate in {source}, got none")
    return replace(recipe, epochs=1)


def mixture(real: ImageSet, others: ImageSet, images: int, share: float, run_seed: int) -> ImageSet:
    """Real images with a share of others among them, each of which comes as often as any other, up to one.

    Args:
        real: each comes at most once, as long as there are enough.
        others: they may be none; then all images are real ones.
        images: how many in all.
        share: of the others, 0 to 1.
        run_seed: which ones; the real images of two mixtures with one share are the same.
    """
    wanted = round(share * images) if len(others) else 0
    first, second = np.random.default_rng([run_seed, 0]), np.random.default_rng([run_seed, 1])
    parts = [_drawn(real, images - wanted, first), _drawn(others, wanted, second)]
    return ImageSet(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def _drawn(data: ImageSet, n: int, rng: np.random.Generator) -> ImageSet:
    """n images: whole passes over the data, and a part of another."""
    rounds = -(-n // max(len(data), 1))
    orders = [rng.permutation(len(data)) for _ in range(rounds)]
    index = torch.from_numpy(np.concatenate(orders)[:n] if orders else np.zeros(0, dtype=np.int64))
    return ImageSet(data.images[index], data.labels[index])
