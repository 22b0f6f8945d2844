"""The model card of a generator: all its scores, measured on the weights as shipped, and grids of its samples."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from latreg.classifier.sut import load_sut, predictions
from latreg.classifier.training import train_classifier
from latreg.compute.device import make_device
from latreg.config import Config, OwnClassifierConfig
from latreg.data.images import ImageSet, to_unit
from latreg.errors import LatregError
from latreg.evaluation.inception import InceptionDistances
from latreg.evaluation.scores import Distances, JudgeFeatures, agreement, draw
from latreg.generator.pretrained import StyleGAN2, load_generator
from latreg.generator.snapshots import sample_grid
from latreg.measures.metrics import wilson
from latreg.runs.provenance import command
from latreg.training.datamodule import DataModule
from latreg.validity.judge import Judge
from latreg.validity.loading import check_guides, guides_of, load_judge_members
from latreg.zoo import weights

log = logging.getLogger(__name__)

TRUNCATIONS = ((1.0, "class"), (0.7, "class"), (0.7, "global"))  # psi and center; at psi 1 the center does not matter


def evaluate_generator(cfg: Config, run_dir: Path, data: DataModule) -> dict[str, Any]:
    """All scores of a model card; writes the card, completed, and grids of samples into the run's folder.

    The grids are samples_psi_<psi>_<center>.png: a row per class, with the first z_seeds and nothing picked.

    Raises:
        LatregError: weights of the generator or the judge are missing, or the real data are, or the classifier that
            learns from samples is no network of latreg.
    """
    if isinstance(cfg.classifier, OwnClassifierConfig):
        raise LatregError(
            f"stage=evaluate_generator trains a network of latreg on samples, got classifier={cfg.classifier.kind}"
        )
    n, batch_size = cfg.evaluation.samples, cfg.classifier.training.batch_size
    if cfg.evaluation.training_samples < batch_size:
        raise LatregError(
            f"evaluation.training_samples must be at least classifier.training.batch_size = {batch_size}, "
            f"got {cfg.evaluation.training_samples}"
        )
    generator = load_generator(cfg.generator, cfg.dataset, make_device(cfg.device))
    if not generator.conditional:
        raise LatregError("stage=evaluate_generator needs a generator of classes: its scores are about samples of them")
    members = load_judge_members(cfg)
    check_guides(guides_of(cfg), members)
    judge, distances = Judge(members, mirror=cfg.dataset.mirror), Distances(JudgeFeatures(members[0].network), data, n)
    inception = cfg.evaluation.inception and InceptionDistances(cfg.evaluation.inception, data.split("test").images)
    results: dict[str, Any] = {
        "samples": n,
        "generator_sha256": generator.id,
        **names_of_judge(cfg, judge),
        **distances.sizes,
    }
    results |= measured_agreement(judge, data.split("test"), "of_test")  # what real images reach: the judge's accuracy
    results |= shared_errors(cfg, judge, data.split("test"))
    for psi, center in TRUNCATIONS:
        samples, suffix = draw(generator, n, psi, center), f"psi_{psi:g}_{center}"
        results |= measured_agreement(judge, samples, suffix)
        results |= distances.overlap(samples, suffix)
        if psi == 1.0:
            results["judge_frechet_distance"] = distances.frechet(samples.images)
            results |= inception(samples.images) if inception else {}
        sample_grid(generator, psi, center=center).save(run_dir / f"samples_{suffix}.png")
        log.info("%d samples at psi %g towards the %s mean: measured", n, psi, center)
    results |= distances.of_train()
    results |= inception(distances.train.images, "_of_train") if inception else {}
    results |= learn_from_samples(cfg, generator, data, run_dir)
    path = weights.resolve(cfg.generator.weights, "generator.weights")
    weights.write_card(run_dir / path.name, weights.read_card(path) | {"scores": results, "measured_by": command(cfg)})
    return results


def measured_agreement(judge: Judge, images: ImageSet, suffix: str) -> dict[str, Any]:
    """The share of images whose class the judge sees, with its interval, under names that end in suffix."""
    agreed, n = agreement(judge, images), len(images)
    return {f"judge_agreement_{suffix}": agreed / n, f"judge_agreement_{suffix}_ci95": wilson(agreed, n)}


def shared_errors(cfg: Config, judge: Judge, test: ImageSet) -> dict[str, Any]:
    """Real images that the SUT gets wrong, and on how many of them the judge is wrong too, or even gives its answer.

    A judge that shares the SUT's errors cannot see them. Nothing is measured where the SUT is not there.
    """
    try:
        sut = load_sut(cfg.classifier.weights, cfg.dataset, make_device(cfg.device))
    except LatregError as error:
        log.warning("the errors that SUT and judge share are not counted: %s", error)
        return {}
    answers = predictions(sut, test.images)
    wrong = answers != test.labels
    opinion = judge(to_unit(test.images[wrong])).argmax(dim=1)
    return {
        "sut_sha256": sut.id,
        "sut_errors": len(opinion),
        "sut_errors_of_judge_too": int((opinion != test.labels[wrong]).sum()),
        "sut_errors_of_judge_alike": int((opinion == answers[wrong]).sum()),
    }


def names_of_judge(cfg: Config, judge: Judge) -> dict[str, Any]:
    """Who judged, and whose features the distances are measured in."""
    names = [weights.name_of(name) for name in cfg.validity.judge]
    return {
        "judge": names,
        "judge_sha256": judge.id,
        "features": f"what the last layer of {names[0]} sees",
        "features_sha256": judge.members[0].id,
    }


def learn_from_samples(cfg: Config, generator: StyleGAN2, data: DataModule, run_dir: Path) -> dict[str, Any]:
    """Accuracy on real test images of a classifier trained on samples at psi = 1 alone: it measures diversity."""
    samples = draw(generator, cfg.evaluation.training_samples, 1.0, "class")
    one_device = replace(cfg, trainer=replace(cfg.trainer, devices=1, strategy="auto"))  # others lack the samples
    results = train_classifier(one_device, run_dir / "classifier_of_samples", None, data.with_training_images(samples))
    return {
        "training_samples": len(samples),
        "classifier_trained_on_samples": cfg.classifier.name,
        "accuracy_trained_on_samples": results["test_accuracy"],
        "accuracy_trained_on_samples_ci95": results["test_accuracy_ci95"],
        "test_images": results["test_images"],
    }
