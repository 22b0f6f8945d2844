"""What a job can do, a function each. `run` picks one, and keeps the run's folder honest whatever happens."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from latreg.compute.memory import keep_freed_memory
from latreg.config import Config, check_names, recipes_in
from latreg.data.splits import complete
from latreg.errors import LatregError, ResumeRefusedError
from latreg.jobs.networks import describe_networks
from latreg.measures import metrics
from latreg.runs.folder import RunFolder

Stage = Callable[[Config, RunFolder], dict[str, Any]]  # does the work in the run's folder and returns its metrics

STAGES = ("search", "train_classifier", "train_generator", "evaluate_generator", "train_validity", "make_probe")

# What must be the same when a run is resumed, and what of it may differ, as it does not change what was done so far.
FIXED = {
    "search": ("run_seed", "dataset", "generator", "classifier", "strategy", "truncation", "validity", "search"),
    "train_classifier": ("run_seed", "dataset", "classifier"),
    "train_generator": ("run_seed", "dataset", "generator"),
    "train_validity": ("run_seed", "dataset", "validity"),
}
FREE_TO_CHANGE = (
    *(f"classifier.{name}" for name in ("probe_images", "min_accuracy", "retries", "wait")),
    *(f"search.{name}" for name in ("sources_per_class", "workers", "chunk", "concurrency")),
    "validity.judge_batch",
    *(f"generator.training.{name}" for name in ("total_images", "snapshot_images", "data_on_device")),
    *(f"generator.training.{name}" for name in ("r1_gamma", "augment", "augment_target", "augment_images")),
    *(f"generator.training.{name}" for name in ("learning_rate", "ema_images", "ema_rampup")),
    *(f"generator.training.{name}" for name in ("guide", "guide_weight", "guide_weight_end", "guide_from")),
    *(f"generator.training.{name}" for name in ("guide_until", "guide_shift")),
)


def run(cfg: DictConfig, output_dir: str) -> None:
    """Run the stage that the configuration names, in its run folder; the last line printed is that folder."""
    folder = RunFolder(Path(output_dir))
    complete(cfg.dataset)
    if missing := OmegaConf.missing_keys(cfg):
        raise LatregError(f"{sorted(missing)[0]} must be given, but has no value")
    describe_networks(cfg)
    config = OmegaConf.to_object(cfg)
    assert isinstance(config, Config)
    check_names(config)
    stage = _stage(config.stage)
    _catch_sigterm()
    keep_freed_memory()
    with folder.claimed():
        free = (*FREE_TO_CHANGE, *(recipes_in(cfg) if config.stage == "search" else ()))
        folder.begin(cfg, FIXED.get(config.stage, ()), free)
        results = _results(stage, config, folder)
    print(metrics.as_text(results))
    print(folder.path)


def _results(stage: Stage, config: Config, folder: RunFolder) -> dict[str, Any]:
    """Those of the stage, written, and how it ended."""
    try:
        results = stage(config, folder)
        folder.write_json("metrics.json", results)
        folder.done()
    except ResumeRefusedError:
        folder.restore()
        raise
    except (KeyboardInterrupt, SystemExit):  # a scheduler's library exits where it is told to run the job again
        folder.status(state="interrupted")
        raise
    except BaseException as error:
        folder.failed(error)
        raise
    return results


def _catch_sigterm() -> None:
    """SIGTERM ends a run as Ctrl-C does, unless the launcher of the job wants to answer it itself."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _stage(name: str) -> Stage:
    """The function of that name, and no other import: Lightning takes seconds, which a search need not wait for."""
    if name not in STAGES:
        raise LatregError(f"stage must be one of {', '.join(STAGES)}, got {name!r}")
    if name == "search":
        from latreg.jobs.search import search

        return search
    from latreg.jobs import prepare as preparing

    return preparing.STAGES[name]
