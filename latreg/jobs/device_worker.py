"""Another process of a training on several devices, started by latreg.training.devices; it writes nothing."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch, as in latreg.run

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from latreg.classifier.training import train_classifier
from latreg.compute.memory import keep_freed_memory
from latreg.errors import LatregError
from latreg.generator.training import train_generator
from latreg.runs.saved_config import load_run_config
from latreg.training.datamodule import DataModule
from latreg.validity.training import train_validity

TRAININGS: dict[str, Callable[..., Any]] = {
    "train_classifier": train_classifier,
    "train_generator": train_generator,
    "train_validity": train_validity,
}


def main(arguments: Sequence[str]) -> int:
    """Take part in the training whose run folder is the only argument; the exit code."""
    run_dir = Path(arguments[0])
    keep_freed_memory()
    try:
        cfg = load_run_config(run_dir)
        TRAININGS[cfg.stage](cfg, run_dir, data=DataModule(cfg.dataset, cfg.run_seed), logger=None)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
