"""The command line: python -m latreg.run +experiment=mnist_random [key=value ..]."""

import os
import sys
from datetime import datetime
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning barriers cost most of a shared machine; before torch

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf

from latreg.config import conf_dir, register
from latreg.errors import LatregError

register()


def run_time(resume: bool, name: str) -> str:
    """The time in the name of a run's folder: now, or that of the newest run of this name if that is to be resumed."""
    runs = Path("multirun", name).glob("[0-9]*_*/0") if resume else ()
    times = [run.parent.name for run in runs if any((run / begun).exists() for begun in ("records", "checkpoints"))]
    return max(times, default=datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def register_run_time() -> None:
    """Make `run_time` known to the configuration, which names a run's folder with it."""
    OmegaConf.register_new_resolver("run_time", run_time, use_cache=True, replace=True)


register_run_time()


@hydra.main(version_base="1.3", config_path=conf_dir(), config_name="config")
def main(cfg: DictConfig) -> None:
    """Run one job. A user's mistake ends it with one sentence; HYDRA_FULL_ERROR=1 shows the traceback."""
    from latreg.jobs import stages  # imports torch, which --help and a misspelt key need not wait for

    folder = HydraConfig.get().runtime.output_dir
    try:
        stages.run(cfg, folder)
    except LatregError as error:
        raise CompactHydraException(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(f"interrupted; to resume, repeat the command with hydra.run.dir={folder} resume=true")


if __name__ == "__main__":
    main()
