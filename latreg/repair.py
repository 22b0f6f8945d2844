"""Train a classifier on with the faults that a run found in it: python -m latreg.repair RUN_DIR -o DIR.

Half of the faults, by the z_seed of their sources, are held out. Prints how many of these are right then and how many
of the real test images, and the same of two controls that are trained alike: with the sources of the faults, and with
real images alone. Writes repair.json, and the weights that were trained with faults, for classifier.weights=...
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from latreg.classifier.finetuning import Finetuning, load_finetuning
from latreg.classifier.networks import Classifier
from latreg.config import Config
from latreg.data.splits import load_split
from latreg.errors import LatregError
from latreg.evaluation.repairing import (
    ARMS,
    FAULTS,
    REAL,
    SAMPLES,
    Answers,
    Plan,
    accuracy_of,
    answers_of,
    material_of,
    repeat,
    summary,
)
from latreg.measures.tables import aligned, percent
from latreg.runs.faults import KINDS, ROBUST, check_searched, read_faults
from latreg.runs.files import check_empty, write_json, writing
from latreg.runs.provenance import versions
from latreg.runs.saved_config import load_run_config

PLAN = Plan()
ROWS = {REAL: "real images alone", SAMPLES: "the sources of the faults", FAULTS: "the faults"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.repair", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="folder of a finished or interrupted search")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--kind", choices=KINDS, default=ROBUST, help="of faults; default: robust")
    parser.add_argument("--images", type=int, default=PLAN.images, help="to train on, each time; default: %(default)s")
    parser.add_argument("--share", type=float, default=PLAN.share, help="of faults among them; default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=PLAN.repetitions, help="default: %(default)s")
    parser.add_argument("--learning-rate", type=float, help="peak; default: a tenth of the classifier's recipe")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("latreg.evaluation").setLevel(logging.INFO)
    try:
        plan = Plan(options.images, options.share, options.repetitions)
        results = repair(options.run_dir, options.output, plan, options.kind, options.learning_rate)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    print(as_table(results))
    print(options.output)
    return 0


def repair(
    run_dir: Path, output: Path, plan: Plan = PLAN, kind: str = ROBUST, learning_rate: float | None = None
) -> dict[str, Any]:
    """Train the classifier of a run on, measure what that does, and write weights and repair.json.

    Args:
        run_dir: of the search.
        output: a new or empty folder.
        plan: how much is trained.
        kind: of faults: robust, valid or flipped.
        learning_rate: peak of its cycle; None = a tenth of the one that the classifier was trained with.

    Raises:
        LatregError: the run has no faults with halves, the classifier is not latreg's or not what was searched, the
            real images are not there, or a number is out of its range.
    """
    check_empty(output)
    _check(plan, learning_rate)
    cfg = load_run_config(run_dir)
    finetuning = load_finetuning(cfg.classifier, cfg.dataset, learning_rate)
    faults = read_faults(run_dir, cfg.dataset, kind)
    check_searched(faults, finetuning.id)
    material = material_of(faults, *(load_split(cfg.dataset, name) for name in ("train", "test")))
    facts = _facts(cfg, finetuning, plan, kind, len(faults))

    def keep(number: int, network: Classifier, answers: Answers) -> None:
        path = output / f"{finetuning.path.stem}_repaired_{number}.safetensors"
        with writing(path):
            finetuning.save(path, network, _card(facts, number, answers))

    before = answers_of(finetuning.network, material)
    results = {**facts, **summary(repeat(finetuning, material, plan, keep), before, material)}
    write_json(output / "repair.json", results)
    return results


def _check(plan: Plan, learning_rate: float | None) -> None:
    if not 0 < plan.share < 1:
        raise LatregError(f"--share must be between 0 and 1, got {plan.share:g}")
    if plan.repetitions < 1:
        raise LatregError(f"--repetitions must be at least 1, got {plan.repetitions}")
    if learning_rate is not None and not learning_rate > 0:
        raise LatregError(f"--learning-rate must be above 0, got {learning_rate:g}")


def _facts(cfg: Config, finetuning: Finetuning, plan: Plan, kind: str, faults: int) -> dict[str, Any]:
    return {
        "classifier": finetuning.path.stem,
        "sut_id": finetuning.id,
        "dataset": cfg.dataset.name,
        "strategy": cfg.strategy.name,
        "kind": kind,
        "faults": faults,
        **asdict(plan),
        "recipe": asdict(finetuning.recipe),
        "versions": versions(),
    }


def _card(facts: dict[str, Any], number: int, answers: Answers) -> dict[str, Any]:
    """Of the weights of one repetition."""
    told = {key: facts[key] for key in ("kind", "strategy", "faults", "images", "share")}
    return {
        **accuracy_of(answers),
        "recipe": facts["recipe"],
        "run_seed": number,
        "versions": facts["versions"],
        "command": f"python -m latreg.repair RUN_DIR --kind {facts['kind']} -o DIR",
        "trained_on_with_faults": told,
    }


def as_table(results: dict[str, Any]) -> str:
    """A line for each arm, and what the faults have over the two others."""
    head = ("trained on with", "held-out faults corrected", "their sources right", "real test images right")
    start = results["before"]
    rows = [("nothing", _shown(start["faults"]), _shown(start["sources"]), _interval(start, "test_accuracy"))]
    for arm in (REAL, SAMPLES, FAULTS):
        own = results["arms"][arm]
        tests = f"{percent(own['test_accuracy'])} ({_range(own['repetitions'])})"
        rows.append((ROWS[arm], _shown(own["corrected"]), _shown(own["sources"]), tests))
    return "\n".join([aligned([head, *rows]), "", *(_compared(results, arm) for arm in ARMS if arm != FAULTS)])


def _shown(share: dict[str, Any]) -> str:
    return f"{_interval(share, 'rate')}, {share['right']} of {share['of']}"


def _interval(values: dict[str, Any], name: str) -> str:
    low, high = values[f"{name}_ci95"]
    return f"{percent(values[name])} ({percent(low)} to {percent(high)})"


def _range(repetitions: Sequence[dict[str, Any]]) -> str:
    """The lowest and the highest accuracy."""
    found = [one["test_accuracy"] for one in repetitions]
    return f"{percent(min(found))} to {percent(max(found))}"


def _compared(results: dict[str, Any], arm: str) -> str:
    found = results[f"{FAULTS}_over_{arm}"]
    low, high = (f"{100 * end:+.1f}" for end in found["difference_ci95"])
    points = f"{100 * found['difference']:+.1f} points ({low} to {high}, p {found['p']:.2g})"
    return f"the faults correct {points} of the held-out faults more than {ROWS[arm]}"


if __name__ == "__main__":
    sys.exit(main())
