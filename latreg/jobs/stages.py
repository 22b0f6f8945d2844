"""What a job can do, a function each. `run` picks one, and keeps the run's folder honest whatever happens."""

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig

from latreg.compute.memory import keep_freed_memory
from latreg.config import SEARCH, Config, check_given, check_names, check_settings, typed
from latreg.data.splits import complete
from latreg.errors import ResumeRefusedError
from latreg.jobs.headline import headline
from latreg.jobs.networks import describe_networks
from latreg.measures.tables import as_text
from latreg.runs.folder import RunFolder

Stage = Callable[[Config, RunFolder], dict[str, Any]]  # does the work in the run's folder and returns its metrics


def run(cfg: DictConfig, output_dir: str) -> None:
    """Run the stage that the configuration names, in its run folder; the last line printed is that folder."""
    _catch_signals()
    keep_freed_memory()
    folder = RunFolder(Path(output_dir))
    results = carry_out(cfg, folder)
    with suppress(OSError):  # nobody listens any more, and all is on the disk
        print(f"\n{headline(cfg)}\n\n{as_text(results)}\n\nall numbers: {folder.path / 'metrics.json'}")
        print(folder.path, flush=True)


def carry_out(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Run the stage that the configuration names, in its run folder, and return its metrics.

    Raises:
        LatregError: a setting is missing or wrong, or the folder is in use or holds something else.
    """
    check_settings(cfg)
    complete(cfg.dataset)
    check_given(cfg)
    describe_networks(cfg)
    config = typed(cfg)
    check_names(config)
    stage = stage_of(config.stage)
    with folder.claimed():
        folder.begin(cfg)
        return _results(stage, config, folder)


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


def _catch_signals() -> None:
    """SIGTERM and a closed terminal end a run as Ctrl-C does, unless the launcher of the job answers them itself."""
    if threading.current_thread() is not threading.main_thread():
        return
    ours = [one for name in ("SIGTERM", "SIGHUP") if (one := getattr(signal, name, None)) is not None]
    ours = [one for one in ours if signal.getsignal(one) is signal.SIG_DFL]

    def interrupt(number: int, frame: FrameType | None) -> None:
        for one in ours:  # a second one must not interrupt what saves the records
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in ours:
        signal.signal(one, interrupt)


def stage_of(name: str) -> Stage:
    """The function of that name, and no other import: Lightning takes seconds, which a search need not wait for."""
    if name == SEARCH:
        from latreg.jobs.search import search

        return search
    from latreg.jobs import prepare as preparing

    return preparing.STAGES[name]
