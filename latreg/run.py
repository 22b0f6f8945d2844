"""The command line: python -m latreg.run +experiment=mnist_random [key=value ..]."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning barriers cost most of a shared machine; before torch

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from latreg.config import STAGES, conf_dir, register
from latreg.errors import LatregError
from latreg.misfits import in_one_sentence

FULL_ERROR = "HYDRA_FULL_ERROR"  # environment variable with which Hydra raises its errors
TOLD_HERE = "LATREG_TELLS_ERRORS"  # beside it where latreg has set it

register()
# Hydra copies what it knows of schemas for each group that --help lists, and never changes it: that took seconds.
ConfigStore.__deepcopy__ = lambda store, memo: store  # type: ignore[attr-defined]


def run_time(resume: bool, name: str) -> str:
    """The time in the name of a run's folder: now, or that of the newest run of this name if that is to be resumed."""
    runs = Path("multirun", name).glob("[0-9]*_*/0") if resume else ()
    times = [run.parent.name for run in runs if any((run / begun).exists() for begun in ("records", "checkpoints"))]
    return max(times, default=datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def register_run_time() -> None:
    """Make `run_time` known to the configuration, which names a run's folder with it."""
    OmegaConf.register_new_resolver("run_time", run_time, use_cache=True, replace=True)


register_run_time()


@contextmanager
def _hydra_raises() -> Iterator[None]:
    """Have Hydra raise its errors, which it would tell in several lines; processes that this one starts know it too."""
    ours = {FULL_ERROR: "1", TOLD_HERE: "1"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _stages(stage: str) -> ModuleType:
    """Import what a stage needs, torch above all, for which --help and a misspelt key need not wait.

    All of it stays to the end: to look for garbage among it, again and again, took a quarter of the start. Launchers
    send this function to other processes by its code, so it keeps nothing itself.
    """
    first = "latreg.jobs.stages" not in sys.modules
    gc.disable()
    try:
        from latreg.jobs import stages

        if stage in STAGES:
            stages.stage_of(stage)
    finally:
        if first:
            gc.freeze()
        gc.enable()
    return stages


def main() -> None:
    """Run the jobs of the command line. A user's mistake ends them with one sentence.

    HYDRA_FULL_ERROR=1 shows the traceback.
    """
    shows_all = FULL_ERROR in os.environ and TOLD_HERE not in os.environ
    try:
        with _hydra_raises():
            _run_job()
    except (HydraException, OmegaConfBaseException) as error:
        if shows_all:
            raise
        print(in_one_sentence(error), file=sys.stderr)
        sys.exit(1)


@hydra.main(version_base="1.3", config_path=conf_dir(), config_name="config")
def _run_job(cfg: DictConfig) -> None:
    """Run one job of a configuration that Hydra has composed."""
    stages = _stages(cfg.stage)
    folder = HydraConfig.get().runtime.output_dir
    try:
        stages.run(cfg, folder)
    except LatregError as error:
        raise CompactHydraException(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(f"interrupted; to resume, repeat the command with hydra.run.dir={folder} resume=true")


if __name__ == "__main__":
    main()
