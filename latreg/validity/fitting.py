"""Fit the density of each class, and write its weights with a model card."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latreg.classifier.networks import Classifier
from latreg.classifier.sut import load_network
from latreg.compute.batches import in_batches
from latreg.config import Config
from latreg.data.images import to_unit
from latreg.errors import LatregError
from latreg.measures.metrics import wilson
from latreg.runs.files import writing
from latreg.runs.provenance import command, versions
from latreg.training.datamodule import DataModule
from latreg.validity.bench import rejected
from latreg.validity.density import HELD_OUT, KIND, ClassDensity, DensityNetwork, described
from latreg.validity.vae import load_validity_model
from latreg.zoo import weights

log = logging.getLogger(__name__)

BATCH = 100  # images per forward pass
BENCH = 1000  # test images of which wrong inputs are made


def fit_density(cfg: Config, run_dir: Path, data: DataModule) -> dict[str, Any]:
    """Fit the Gaussians of `cfg.validity.fit` to the training images; weights and card are written into run_dir.

    The threshold comes from the validation images; the test images tell how often real images are flagged, and wrong
    inputs made of them how many are rejected, with those that `validity.vae` rejects beside them.

    Args:
        cfg: dataset, validity and device are used.
        run_dir: folder of the run.
        data: of `cfg.dataset` and `cfg.run_seed`.

    Returns:
        The threshold, the rate of false alarms with its interval, what is rejected, and where the weights are.

    Raises:
        LatregError: there is no classifier, one of other images, or one that is SUT or judge; or a class has no images.
    """
    started = time.monotonic()
    path = weights.resolve(cfg.validity.fit.classifier, "validity.fit.classifier")
    _check_independent(cfg, path)
    classifier = load_network(path, cfg.dataset).eval().requires_grad_(False)
    train = data.split("train")
    _check_classes(train.labels, cfg.dataset.class_names)
    features = _features(classifier, to_unit(train.images))
    if (axes := cfg.validity.fit.axes) > min(features.shape):
        raise LatregError(f"validity.fit.axes must be at most {min(features.shape)} for these images, got {axes}")
    network = DensityNetwork(classifier, features.shape[1], axes)
    network.fit(features, train.labels)
    network = network.half().float()  # as the file will give it back
    held_out = _distances(network, data, "validation").sort().values.half().float()
    metrics = _measured(cfg, network, held_out, data)
    out = run_dir / f"{cfg.dataset.name}_density.safetensors"
    description = {"kind": KIND, **_architecture(path), "features": features.shape[1], "axes": axes}
    made_by = {
        "classifier": weights.name_of(cfg.validity.fit.classifier or ""),
        "classifier_sha256": weights.sha256(path),
    }
    card = {**description, **made_by, **_card(cfg), **metrics}
    with writing(out):
        weights.save(out, {**network.state_dict(), HELD_OUT: held_out}, description, card, half=True)
    log.info("flags %.4f of the test images, weights in %s", metrics["false_alarm_rate"], out)
    return {**metrics, "weights": str(out), "seconds": round(time.monotonic() - started, 1)}


def _check_independent(cfg: Config, path: Path) -> None:
    """Refuse features of a classifier that takes part otherwise."""
    others: dict[str, list[str | None]] = {"the SUT": [cfg.classifier.weights], "the judge": list(cfg.validity.judge)}
    own = weights.sha256(path)
    for name, files in others.items():
        for file in files:
            if file and weights.sha256(weights.resolve(file, "validity.fit.classifier")) == own:
                raise LatregError(f"validity.fit.classifier must be neither SUT nor judge, got {name} {file}")


def _check_classes(labels: Tensor, names: Sequence[str]) -> None:
    """Refuse a class without images: it has no mean, and nothing would ever be typical of it."""
    if lacking := [name for number, name in enumerate(names) if number not in labels]:
        raise LatregError(f"a density needs training images of each class, got none of {', '.join(lacking)}")


def _features(classifier: Classifier, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return in_batches(lambda batch: described(classifier, batch), images, BATCH).clone()


def _distances(network: DensityNetwork, data: DataModule, split: str) -> Tensor:
    own = data.split(split)
    model = ClassDensity(network, torch.zeros(1), quantile=0.5, batch=BATCH)
    return model.distances(to_unit(own.images), own.labels)


def _measured(cfg: Config, network: DensityNetwork, held_out: Tensor, data: DataModule) -> dict[str, Any]:
    model = ClassDensity(network, held_out, quantile=cfg.validity.quantile, batch=BATCH)
    test = data.split("test")
    alarms = int((model.distances(to_unit(test.images), test.labels) > model.threshold).sum())
    bench = test.spread(BENCH)
    measured = {
        "quantile": cfg.validity.quantile,
        "threshold": model.threshold,
        "false_alarm_rate": alarms / len(test),
        "false_alarm_rate_ci95": wilson(alarms, len(test)),
        "held_out_images": len(held_out),
        "test_images": len(test),
        "wrong_inputs_of_each_kind": len(bench),
        "rejected": rejected(bench, lambda images, labels: model.distances(images, labels) <= model.threshold),
    }
    if cfg.validity.vae:
        vae = load_validity_model(cfg.validity.vae, cfg.dataset, cfg.validity.quantile, batch=BATCH)
        measured["rejected_by_the_vae"] = rejected(bench, lambda images, _: vae.errors(images) <= vae.threshold)
    return measured


def _architecture(path: Path) -> dict[str, Any]:
    description = weights.read_description(path)
    return {name: description[name] for name in ("network", "channels", "num_classes", "network_args")}


def _card(cfg: Config) -> dict[str, Any]:
    return {
        "name": f"{cfg.dataset.name}_density",
        "dataset": cfg.dataset.name,
        "recipe": asdict(cfg.validity.fit),
        "run_seed": cfg.run_seed,
        "command": command(cfg),
        "stored_as": "float16",
        "versions": versions(),
    }
