"""Show the saved faults of a run to another classifier: python -m latreg.retest RUN_DIR classifier=onnx ...

Prints how many of the faults it gets wrong as well (transfer), and how many of the sources it gets right. The
classifier is configured as for a search. With --max-failure-rate, the exit code is 1 if a larger share fails: a
regression test.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from torch import Tensor

from latreg.classifier.adapters import load_classifier
from latreg.classifier.sut import predictions
from latreg.composing import composed
from latreg.compute.device import make_device
from latreg.config import Config, typed
from latreg.errors import LatregError
from latreg.jobs.sut_check import check_sut
from latreg.measures.metrics import wilson
from latreg.measures.tables import aligned
from latreg.runs.faults import KINDS, ROBUST, read_faults
from latreg.runs.files import write_json
from latreg.runs.saved_config import load_run_config

SETTINGS = ("classifier", "device")  # what may be set; all else is the run's


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 0, 1 above --max-failure-rate, 2 where the test could not be made."""
    parser = argparse.ArgumentParser(prog="python -m latreg.retest", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="folder of a finished or interrupted search")
    parser.add_argument("settings", nargs="+", help="classifier=.. classifier.weights=.. device=..")
    parser.add_argument("--kind", choices=KINDS, default=ROBUST, help="of faults; default: robust")
    parser.add_argument("--max-failure-rate", type=float, help="exit with code 1 if a larger share fails (0 .. 1)")
    parser.add_argument("-o", "--output", type=Path, help="also write the numbers to this JSON file")
    options = parser.parse_intermixed_args(arguments)
    try:
        _check_rate(options.max_failure_rate)
        results = retest(options.run_dir, options.settings, options.kind)
        if options.output:
            write_json(options.output, results)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    print(as_table(results))
    rate, limit = results["failure_rate"], options.max_failure_rate
    if limit is not None and rate > limit:
        print(f"the failure rate {rate:.4f} is above --max-failure-rate {limit:g}", file=sys.stderr)
        return 1
    return 0


def retest(run_dir: Path, settings: Sequence[str], kind: str = ROBUST) -> dict[str, Any]:
    """Show the faults of a run and their sources to a classifier.

    Args:
        run_dir: of the search.
        settings: of the classifier, as on the command line of a search.
        kind: of faults: robust, valid or flipped.

    Returns:
        `sut_id` and the numbers of `score`, in all and under `classes` by the name of each.

    Raises:
        LatregError: the run has no faults, or the classifier cannot be loaded or is not understood.
    """
    cfg = classifier_config(run_dir, settings)
    faults = read_faults(run_dir, cfg.dataset, kind)
    sut = load_classifier(cfg.classifier, cfg.dataset, make_device(cfg.device))
    check_sut(cfg, sut)
    labels = torch.tensor([fault.record.label for fault in faults])
    before = torch.tensor([fault.predicted for fault in faults])
    fault_answers = predictions(sut, _stacked([fault.image for fault in faults]))
    source_answers = predictions(sut, _stacked([fault.record.source_image for fault in faults]))

    def scored(rows: Tensor) -> dict[str, Any]:
        return score(labels[rows], before[rows], fault_answers[rows], source_answers[rows])

    names = cfg.dataset.class_names
    classes = {names[label]: scored(labels == label) for label in sorted(set(labels.tolist()))}
    return {"sut_id": sut.id, **scored(labels >= 0), "classes": classes}


def score(labels: Tensor, before: Tensor, fault_answers: Tensor, source_answers: Tensor) -> dict[str, Any]:
    """Counts over faults: labels, what the searched classifier said, what this one says of fault and source, (N,)."""
    failed = fault_answers != labels
    count, failures = len(labels), int(failed.sum())
    return {
        "faults": count,
        "failures": failures,
        "failure_rate": failures / count,
        "failure_rate_ci95": wilson(failures, count),
        "same_wrong_answer": int((fault_answers == before).sum()),
        "sources_right": int((source_answers == labels).sum()),
    }


def as_table(results: dict[str, Any]) -> str:
    """A line for each class, and one for all of them."""
    columns = ("faults", "failures", "failure_rate", "failure_rate_ci95", "same_wrong_answer", "sources_right")
    lines = {**results["classes"], "all": results}
    return aligned([("class", *columns), *((name, *(line[c] for c in columns)) for name, line in lines.items())])


def classifier_config(run_dir: Path, settings: Sequence[str]) -> Config:
    """The configuration of another classifier for the data set of a run.

    Raises:
        LatregError: settings name no classifier, or something else, or do not fit the schema.
    """
    run = load_run_config(run_dir)
    foreign = [s for s in settings if s.lstrip("+~").split("=", 1)[0].split(".", 1)[0] not in SETTINGS]
    if foreign or not any(setting.startswith("classifier=") for setting in settings):
        raise LatregError(
            "expected the settings of a classifier, such as classifier=onnx classifier.weights=net.onnx, and at "
            f"most device=.. besides, got {' '.join(settings)}"
        )
    return typed(composed(settings, {"dataset": run.dataset}))


def _check_rate(rate: float | None) -> None:
    if rate is not None and not 0 <= rate <= 1:
        raise LatregError(f"--max-failure-rate must be within 0 .. 1, got {rate:g}")


def _stacked(images: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(images))


if __name__ == "__main__":
    sys.exit(main())
