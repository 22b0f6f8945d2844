"""The stages that prepare a search: they train its networks and measure them."""

from collections.abc import Callable
from typing import Any

from latreg.classifier.training import train_classifier
from latreg.config import Config, OwnClassifierConfig, OwnGeneratorConfig
from latreg.data.images import save_probe
from latreg.data.splits import choice_of, load_images, resolve_source
from latreg.errors import LatregError
from latreg.evaluation.card import evaluate_generator
from latreg.evaluation.drift import measure_drift
from latreg.evaluation.scores import TrainingScores
from latreg.generator.training import train_generator
from latreg.runs.folder import RunFolder
from latreg.tracking import lightning_logger
from latreg.training.datamodule import DataModule
from latreg.validity.fitting import fit_density
from latreg.validity.training import train_validity
from latreg.zoo.weights import probe_path


def make_probe(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Write the first test images to a file, to be shipped for the check of SUTs."""
    data = load_images(resolve_source(cfg.dataset), "test", cfg.dataset.channels, choice_of(cfg.dataset))
    path = folder.path / probe_path(cfg.dataset.name).name
    save_probe(path, data.slice(0, cfg.classifier.probe_images))
    return {"images": cfg.classifier.probe_images, "file": str(path)}


def classifier(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Train a SUT or a member of the judge."""
    if isinstance(cfg.classifier, OwnClassifierConfig):
        raise LatregError(f"stage=train_classifier trains networks of latreg, got classifier={cfg.classifier.kind}")
    with lightning_logger(cfg.tracking, folder.config, folder.path, cfg.name) as logger:
        return train_classifier(cfg, folder.path, logger, DataModule(cfg.dataset, cfg.run_seed))


def generator(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Train a StyleGAN2."""
    if isinstance(cfg.generator, OwnGeneratorConfig):
        raise LatregError(f"stage=train_generator trains networks of latreg, got generator={cfg.generator.name}")
    with lightning_logger(cfg.tracking, folder.config, folder.path, cfg.name, x_axis="n_images") as logger:
        data = DataModule(cfg.dataset, cfg.run_seed)
        return train_generator(cfg, folder.path, data, logger, lambda guides: TrainingScores(cfg, data, guides))


def validity(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Train the model of what is in the distribution."""
    with lightning_logger(cfg.tracking, folder.config, folder.path, cfg.name) as logger:
        return train_validity(cfg, folder.path, logger, DataModule(cfg.dataset, cfg.run_seed))


def density(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Fit the density of each class."""
    return fit_density(cfg, folder.path, DataModule(cfg.dataset, cfg.run_seed))


def card(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Measure a generator for its model card."""
    return evaluate_generator(cfg, folder.path, DataModule(cfg.dataset, cfg.run_seed))


STAGES: dict[str, Callable[[Config, RunFolder], dict[str, Any]]] = {
    "train_classifier": classifier,
    "train_generator": generator,
    "evaluate_generator": card,
    "measure_drift": measure_drift,
    "train_validity": validity,
    "fit_density": density,
    "make_probe": make_probe,
}
