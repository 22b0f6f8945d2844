"""How well do a run's faults tell slightly wrong classifiers from the searched one: python -m latreg.mutants RUN_DIR.

Makes mutants of the classifier (trained on without a class or with wrong labels, pruned, with noise on the weights) and
shows them the faults, their sources, and real test images. A test tells a mutant from the original where their answers
differ. Prints the share of such tests, and the mutation score: the share of mutants that some tests tell, if so many
are drawn. A control is trained on with nothing wrong: what is told from the original there is no mistake.
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from scipy.stats import hypergeom
from torch import Tensor

from latreg.classifier.finetuning import load_finetuning
from latreg.classifier.mutation import CHECKED, CONTROL, OPERATORS, Original, mutants
from latreg.classifier.networks import Classifier
from latreg.classifier.sut import TorchSUT, predictions
from latreg.data.images import ImageSet
from latreg.data.splits import load_split
from latreg.errors import LatregError
from latreg.measures.metrics import wilson
from latreg.measures.tables import aligned, percent
from latreg.runs.faults import KINDS, ROBUST, Fault, check_searched, read_faults
from latreg.runs.files import write_json
from latreg.runs.saved_config import load_run_config

log = logging.getLogger("latreg.mutants")  # __name__ is __main__ where it is a command

TESTS = FAULTS, SOURCES, REAL = ("faults", "sources", "real")
REAL_IMAGES = 2000  # of the test images, at equal distances
DRAWN = (1, 5, 20)  # tests, of which the mutation score is computed


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.mutants", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="folder of a finished or interrupted search")
    parser.add_argument("-o", "--output", type=Path, help="also write the numbers to this JSON file")
    parser.add_argument("--kind", choices=KINDS, default=ROBUST, help="of faults; default: robust")
    parser.add_argument("--each", type=int, default=3, help="mutants of each operator; default: %(default)s")
    parser.add_argument("--images", type=int, default=10_000, help="to train each mutant on; default: %(default)s")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    try:
        results = score_mutants(options.run_dir, options.kind, options.each, options.images)
        if options.output:
            write_json(options.output, results)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    print(as_table(results))
    return 0


def score_mutants(run_dir: Path, kind: str = ROBUST, each: int = 3, images: int = 10_000) -> dict[str, Any]:
    """Make mutants of the classifier of a run, and count which tests tell them from it.

    Args:
        run_dir: of the search.
        kind: of faults: robust, valid or flipped.
        each: mutants of each operator.
        images: that each training is shown.

    Raises:
        LatregError: the run has no faults, the classifier is not latreg's or not what was searched, the real images are
            not there, or a number is out of its range.
    """
    if each < 1:
        raise LatregError(f"--each must be at least 1, got {each}")
    cfg = load_run_config(run_dir)
    finetuning = load_finetuning(cfg.classifier, cfg.dataset).at_full_rate()
    original = Original(finetuning, load_split(cfg.dataset, "validation").spread(CHECKED))
    faults = read_faults(run_dir, cfg.dataset, kind)
    check_searched(faults, finetuning.id)
    test = load_split(cfg.dataset, "test").spread(REAL_IMAGES)
    tests = tests_of(faults, test)
    before = _answers(finetuning.network, tests)
    made = mutants(original, load_split(cfg.dataset, "train"), images, each)
    found = [_compared(name, number, _answers(network, tests), before, test) for name, number, network in made]
    facts = {"classifier": finetuning.path.stem, "sut_id": finetuning.id, "dataset": cfg.dataset.name}
    sizes = {name: len(shown) for name, shown in tests.items()}
    settings = {"kind": kind, "each": each, "images": images, "tests": sizes, "strategy": cfg.strategy.name}
    start = accuracy_of(before[REAL], test)
    return {**facts, **settings, "before": start, "operators": summary(found, sizes), "mutants": found}


def tests_of(faults: Sequence[Fault], real: ImageSet) -> dict[str, Tensor]:
    """The images (N, C, H, W) uint8 of each kind of test."""
    sources = [fault.record.source_image for fault in faults]
    images: tuple[Sequence[Any], ...] = ([fault.image for fault in faults], sources)
    generated = (torch.from_numpy(np.stack(one)) for one in images)
    return dict(zip(TESTS, (*generated, real.images), strict=True))


def _answers(network: Classifier, tests: Mapping[str, Tensor]) -> dict[str, Tensor]:
    sut = TorchSUT(network, "", torch.device("cpu"), {})
    return {name: predictions(sut, images) for name, images in tests.items()}


def _compared(
    operator: str, number: int, answers: Mapping[str, Tensor], before: Mapping[str, Tensor], test: ImageSet
) -> dict[str, Any]:
    """How many tests of each kind tell one mutant from the original, and its accuracy."""
    told = {name: int((answers[name] != before[name]).sum()) for name in TESTS}
    found = {"operator": operator, "number": number, "told_by": told, **accuracy_of(answers[REAL], test)}
    log.info("%s %d: accuracy %.4f, told by %s", operator, number, found["accuracy"], told)
    return found


def accuracy_of(answers: Tensor, test: ImageSet) -> dict[str, Any]:
    """On real test images, with Wilson's interval."""
    right, n = int((answers == test.labels).sum()), len(test)
    return {"accuracy": right / n, "accuracy_ci95": wilson(right, n), "real_images": n}


# ---- numbers


def summary(found: Sequence[Mapping[str, Any]], sizes: Mapping[str, int]) -> dict[str, Any]:
    """The numbers of each operator, and those of all that make mutants under `all`."""
    names = {name: [name] for name in OPERATORS} | {"all": [name for name in OPERATORS if name != CONTROL]}
    return {
        name: _of_operators([one for one in found if one["operator"] in chosen], sizes)
        for name, chosen in names.items()
    }


def _of_operators(found: Sequence[Mapping[str, Any]], sizes: Mapping[str, int]) -> dict[str, Any]:
    accuracies = [one["accuracy"] for one in found]
    return {
        "mutants": len(found),
        "accuracy": float(np.mean(accuracies)),
        "accuracy_range": [min(accuracies), max(accuracies)],
        "told_rate": {name: float(np.mean([one["told_by"][name] / n for one in found])) for name, n in sizes.items()},
        "score": {
            str(drawn): {
                name: float(np.mean([chance_told(one["told_by"][name], n, drawn) for one in found]))
                for name, n in sizes.items()
            }
            for drawn in DRAWN
        },
    }


def chance_told(telling: int, tests: int, drawn: int) -> float:
    """The probability that one or more of `drawn` tests tell a mutant, of which `telling` do; at most all are drawn."""
    return float(1 - hypergeom.pmf(0, tests, telling, min(drawn, tests)))


def as_table(results: Mapping[str, Any]) -> str:
    """A line for each operator."""
    scores = [(f"score of {drawn}", str(drawn)) for drawn in DRAWN[1:]]
    head = ["", "n", "accuracy", *(f"told by {name}" for name in TESTS)]
    head += [f"{shown}: {name}" for shown, _ in scores for name in TESTS]
    rows = []
    for name, own in results["operators"].items():
        row = [name, own["mutants"], percent(own["accuracy"]), *(percent(own["told_rate"][test]) for test in TESTS)]
        rows.append(row + [percent(own["score"][drawn][test]) for _, drawn in scores for test in TESTS])
    sizes = ", ".join(f"{n} {name}" for name, n in results["tests"].items())
    return f"{aligned([head, *rows])}\n\nof {sizes}; accuracy before: {percent(results['before']['accuracy'])}"


if __name__ == "__main__":
    sys.exit(main())
