"""The folder of one run: its resolved config, its status, and nothing half-written left as done."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from latreg import __version__
from latreg.errors import LatregError

RESULTS = ("records", "checkpoints", "metrics.json")
PACKAGES = ("torch", "lightning", "numpy", "hydra-core", "wandb", "datasets")


class RunFolder:
    """Writes config.yaml, status.json and metrics.json of a run, each whole or not at all.

    Raises:
        LatregError: the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config: dict[str, Any] = {}
        self._status: dict[str, Any] = {}

    def begin(
        self, cfg: DictConfig | dict[str, Any], fixed: Sequence[str] = (), free_to_change: Sequence[str] = ()
    ) -> None:
        """Write the resolved configuration and the status `running`.

        Args:
            cfg: of the job.
            fixed: groups of keys that must be those of the run that is resumed.
            free_to_change: keys and groups of keys among them that may differ.

        Raises:
            LatregError: the folder holds results and resume is off, or those of other settings, or cannot be written.
        """
        self.config = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(cfg), resolve=True))
        if any((self.path / name).exists() for name in RESULTS):
            self._check_resumable(fixed, free_to_change)
        self._write("config.yaml", OmegaConf.to_yaml(self.config))
        self.status(
            state="running",
            started=_now(),
            versions=versions(),
            git_commit=_git_commit(),
            weights={},
        )

    def _check_resumable(self, fixed: Sequence[str], free_to_change: Sequence[str]) -> None:
        if not self.config["resume"]:
            raise LatregError(f"{self.path} already holds results: give another hydra.run.dir, or resume=true to go on")
        before = {name: value for name, value in read_config(self.path).items() if name in fixed}
        for key, old, new in differences(before, {name: self.config[name] for name in before}, free_to_change):
            raise LatregError(f"resume=true needs the settings of {self.path}, but {key} was {old} and is now {new}")

    def status(self, **changes: Any) -> None:
        """Update status.json."""
        self._status.update(changes)
        self.write_json("status.json", self._status)

    def done(self) -> None:
        self.status(state="done", finished=_now())

    def failed(self, error: BaseException) -> None:
        self.status(state="failed", finished=_now(), error=f"{type(error).__name__}: {error}")

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        self._write(name, json.dumps(content, indent=2) + "\n")

    def _write(self, name: str, text: str) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            temporary = self.path / f"{name}.tmp"
            temporary.write_text(text)
            os.replace(temporary, self.path / name)
        except OSError as error:
            raise LatregError(f"the run folder {self.path} must be writable, but {error}") from error


def flatten(nested: Mapping[str, Any], separator: str = "/", prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}, "c": None} => {"a/b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, separator, f"{prefix}{key}{separator}")
        elif value is not None:
            flat[f"{prefix}{key}"] = value
    return flat


def read_config(run_dir: Path) -> dict[str, Any]:
    """The resolved configuration of a run as plain containers; {} where there is none."""
    path = run_dir / "config.yaml"
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(path))) if path.is_file() else {}


def read_status(run_dir: Path) -> dict[str, Any]:
    """The content of status.json; {} where there is none."""
    path = run_dir / "status.json"
    return cast(dict[str, Any], json.loads(path.read_text())) if path.is_file() else {}


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], free_to_change: Sequence[str]
) -> list[tuple[str, Any, Any]]:
    """Dotted key, old and new value of each setting that differs, but for the keys and groups that may."""
    old, new = flatten(before, "."), flatten(now, ".")
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    free = tuple(f"{name}." for name in free_to_change)
    return [(key, old.get(key), new.get(key)) for key in changed if not f"{key}.".startswith(free)]


def versions() -> dict[str, str]:
    """Versions of this software, of Python and of the packages that results depend on."""
    return {"latreg": __version__, "python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git_commit() -> str | None:
    """The commit of a checkout, with -dirty where files were changed; None for an installed package."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None
