"""Training on several devices of this machine: a process for each, all in the run's folder, the first one writes.

Lightning would repeat the command line in each process: another Hydra job in another folder, of a multirun even the
whole sweep. Instead the others run `latreg.jobs.device_worker`, which reads the config.yaml of the first one's folder.
"""

import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException

from latreg.config import TrainerConfig
from latreg.errors import LatregError
from latreg.runs.files import write_json
from latreg.runs.folder import read_status

GAN_STRATEGY = "ddp_find_unused_parameters_true"  # a step of a GAN leaves G or D without gradients
POLL = 0.5  # seconds between two looks at the other processes
GRACE = 10.0  # seconds for this process to notice by itself that another died, and the other way round
PATIENCE = 60.0  # seconds for the others to end after the training
FAILED = "the process of another device failed; its message is above"


class OneMachine(LightningEnvironment):
    """Tells Lightning to start no processes: `other_processes` does."""

    @property
    def creates_processes_externally(self) -> bool:
        return True


def make_trainer(hardware: TrainerConfig, gan: bool = False, **arguments: Any) -> L.Trainer:
    """A Trainer on the hardware that the configuration names.

    Args:
        hardware: the `trainer` group.
        gan: choose the DDP that a GAN needs wherever there are several devices.
        arguments: the other arguments of lightning.Trainer.

    Raises:
        LatregError: this machine has no such hardware, or a setting is none of Lightning's.
    """
    settings = asdict(hardware)
    try:
        trainer = L.Trainer(**settings, **arguments, plugins=[OneMachine()])
        if gan and trainer.world_size > 1 and hardware.strategy in ("auto", "ddp"):
            trainer = L.Trainer(**(settings | {"strategy": GAN_STRATEGY}), **arguments, plugins=[OneMachine()])
    except (MisconfigurationException, ValueError, TypeError) as error:
        asked = ", ".join(f"trainer.{name}={value}" for name, value in settings.items())
        reason = " ".join(str(error).split())
        raise LatregError(f"the trainer group must name hardware that is there, got {asked}: {reason}") from error
    return trainer


@contextmanager
def other_processes(trainer: L.Trainer, run_dir: Path) -> Iterator[None]:
    """The processes of the other devices, for as long as the block lasts; none in them, or for one device.

    Args:
        trainer: of `make_trainer`.
        run_dir: holds the config.yaml of the run.

    Raises:
        LatregError: one of them failed.
    """
    if trainer.world_size == 1 or trainer.local_rank > 0:
        yield
        return
    environment = trainer.strategy.cluster_environment  # type: ignore[attr-defined]
    processes = [_start(rank, environment.main_port, run_dir) for rank in range(1, trainer.world_size)]
    over = threading.Event()
    threading.Thread(target=_watch, args=(processes, over, run_dir), daemon=True).start()
    try:
        yield
        _end(processes, PATIENCE)
    except LatregError:
        raise
    except BaseException as error:
        _end(processes, GRACE)
        if any(process.returncode > 0 for process in processes):
            raise LatregError(FAILED) from error
        raise
    finally:
        over.set()
        _end(processes, 0)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # the next job of a multirun needs another
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            os.environ.pop(name, None)


def _start(rank: int, port: int, run_dir: Path) -> subprocess.Popen[bytes]:
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    return subprocess.Popen(
        [sys.executable, "-m", "latreg.jobs.device_worker", str(run_dir)], env={**os.environ, **address}
    )


def _watch(processes: Sequence["subprocess.Popen[bytes]"], over: threading.Event, run_dir: Path) -> None:
    """Where one of the others died, this process may wait for it in vain and beyond the reach of Python: end it."""
    while not over.wait(POLL):
        if any(process.poll() for process in processes):
            if not over.wait(GRACE):
                try:
                    _note_failure(run_dir)
                finally:  # whatever the disk says
                    _end(processes, 0)
                    os._exit(1)
            return


def _note_failure(run_dir: Path) -> None:
    """Do what the run's folder would have done at the end."""
    print(FAILED, file=sys.stderr, flush=True)
    write_json(run_dir / "status.json", {**read_status(run_dir), "state": "failed", "error": FAILED})


def _end(processes: Sequence["subprocess.Popen[bytes]"], patience: float) -> None:
    """Wait for the others for so many seconds, then kill them."""
    latest = time.monotonic() + patience
    for process in processes:
        try:
            process.wait(max(latest - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _quiet_lightning() -> None:
    """Lightning prints its messages a second time beside the log, and advice that no user can act on."""
    logging.getLogger("lightning").handlers.clear()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")


_quiet_lightning()
