"""The table that ends a multirun: a line for each of its jobs, whatever launched them."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from latreg.errors import LatregError
from latreg.json_files import read_json
from latreg.measures.tables import folded, shown
from latreg.runs.folder import read_status

# Of metrics.json; those that no job has are left out.
METRICS = (
    *("sources", "accepted", "flipped", "valid_faults", "fault_rate_per_source", "queries_per_valid_fault"),
    *("robust_faults", "queries_per_robust_fault"),
    *("validation_accuracy", "test_accuracy", "false_alarm_rate", "n_images"),
)


class Comparison(Callback):
    """Prints the table at the end of a multirun."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        runs = sorted((path.parent for path in folder.glob("*/status.json")), key=_number)
        if len(runs) > 1:
            with suppress(OSError):  # nobody listens any more
                print(f"\n{compare(runs, shutil.get_terminal_size().columns)}\n{folder}", flush=True)


def compare(run_dirs: Sequence[Path], width: int) -> str:
    """A line for each run: what its command says other than those of the others, its state, and its metrics.

    Where these are more than fit the width, in characters, they go on in further lines below.
    """
    commands = [_given(run_dir) for run_dir in run_dirs]
    keys = dict.fromkeys(key for given in commands for key in given)
    varied = [key for key in keys if len({given.get(key) for given in commands}) > 1]
    metrics = [_metrics(run_dir) for run_dir in run_dirs]
    names = [name for name in METRICS if any(found.get(name) is not None for found in metrics)]
    rows: list[list[str | None]] = [["job", *varied, "state", *(name.replace("_", " ") for name in names)]]
    for run_dir, given, found in zip(run_dirs, commands, metrics, strict=True):
        values = [shown(name, found) or None for name in names]
        rows.append([run_dir.name, *(given.get(key, "") for key in varied), _state(run_dir), *values])
    return folded(rows, width, names=1 + len(varied))


def _given(run_dir: Path) -> dict[str, str]:
    """The settings on the command line of a run."""
    words = shlex.split(read_status(run_dir).get("command") or "")
    return {key.lstrip("+"): value for key, equals, value in (word.partition("=") for word in words) if equals}


def _metrics(run_dir: Path) -> Mapping[str, Any]:
    """{} where the job did not end."""
    with suppress(LatregError):
        found = read_json(run_dir / "metrics.json")
        return found if isinstance(found, dict) else {}
    return {}


def _state(run_dir: Path) -> str:
    return str(read_status(run_dir).get("state", "unknown"))


def _number(run_dir: Path) -> tuple[int, str]:
    name = run_dir.name
    return (int(name) if name.isdecimal() else -1, name)
