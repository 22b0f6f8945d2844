"""The folder of one run: its resolved config, its status, and nothing half-written left as done."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from latreg.config import one_line, purpose_in
from latreg.errors import LatregError, ResumeRefusedError
from latreg.json_files import read_json
from latreg.names import check_name
from latreg.runs.files import replacing, writing
from latreg.runs.provenance import command_line, git_commit, versions
from latreg.runs.saved_config import read_settings, with_defaults

RESULTS = ("records", "checkpoints", "metrics.json")
WRITTEN_FIRST = ("config.yaml", "status.json")
PROBE_BYTES = 2**14  # about what config.yaml, status.json and the files of Hydra need


class RunFolder:
    """Writes config.yaml, status.json and metrics.json of a run, each whole or not at all.

    Args:
        path: of the folder.
        command: what the run was started with; None = the command line of this job.
        seconds: that it took before, elsewhere.

    Raises:
        LatregError: the folder cannot be written.
    """

    def __init__(self, path: Path, command: str | None = None, seconds: float = 0.0) -> None:
        self.path = path
        self._command = command
        self.resumed: dict[str, Any] = {}  # the status of the run that is resumed, {} where there is none
        self.config: dict[str, Any] = {}
        self._status: dict[str, Any] = {}
        self._before: dict[str, bytes] = {}
        self._seconds_before = seconds
        self._started = time.perf_counter()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other processes out of the folder; a process that dies gives it back.

        Raises:
            LatregError: another one is at work in it, or it cannot be written.
        """
        lock = FileLock(self.path / ".lock", timeout=0)
        with writing(self.path / ".lock"):
            try:
                lock.acquire()
            except Timeout as error:
                raise LatregError(f"another process is at work in {self.path}") from error
        try:
            yield
        finally:
            lock.release()

    def begin(self, cfg: DictConfig | dict[str, Any]) -> None:
        """Write the resolved configuration of the job and the status `running`.

        Raises:
            LatregError: the folder holds results and resume is off, or those of other settings, or cannot be written.
        """
        self.config = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(cfg), resolve=True))
        if any((self.path / name).exists() for name in RESULTS):
            self._check_resumable()
            self.resumed = read_status(self.path)
            self._seconds_before = self.resumed.get("seconds", 0.0)
            paths = [self.path / name for name in WRITTEN_FIRST]
            self._before = {path.name: path.read_bytes() for path in paths if path.is_file()}
        self._write("config.yaml", OmegaConf.to_yaml(self.config))
        self.status(
            state="running",
            started=_now(),
            versions=versions(),
            git_commit=git_commit(),
            command=self._command or command_line(),
            weights=self.resumed.get("weights", {}),  # until those of today are known
        )

    def _check_resumable(self) -> None:
        if not self.config["resume"]:
            raise LatregError(f"{self.path} already holds results: choose another hydra.run.dir, or use resume=true")
        searched = (self.path / "records").exists()  # the checkpoint of a training may stand alone
        if searched and not (self.path / "config.yaml").is_file():
            raise LatregError(f"resume=true needs the settings of {self.path}, but it has no config.yaml")
        saved = read_config(self.path)
        if not saved:
            return
        for key, old, new in differences(with_defaults(saved), with_defaults(self.config)):
            if not purpose_in(key, self.config).free_on_resume:
                raise ResumeRefusedError(
                    f"resume=true needs the settings of {self.path}, but {key} was {old} and is now {new}"
                )

    def status(self, **changes: Any) -> None:
        """Update status.json."""
        self._status.update(changes, seconds=self.seconds())
        self.write_json("status.json", self._status)

    def seconds(self) -> float:
        """Wall-clock time of the run, with that of the interrupted ones before up to their last change of status."""
        return round(self._seconds_before + time.perf_counter() - self._started, 2)

    def restore(self) -> None:
        """Put back what `begin` found of the run that was to be resumed."""
        for name in WRITTEN_FIRST:
            if name in self._before:
                self._replace(name, self._before[name])
            else:
                (self.path / name).unlink(missing_ok=True)

    def done(self) -> None:
        self.status(state="done", finished=_now())

    def failed(self, error: BaseException) -> None:
        with suppress(LatregError):  # where the disk is the reason, the first error is the one to tell
            self.status(state="failed", finished=_now(), error=f"{type(error).__name__}: {error}")

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        self._write(name, json.dumps(content, indent=2) + "\n")

    def _write(self, name: str, text: str) -> None:
        self._replace(name, text.encode())

    def _replace(self, name: str, content: bytes) -> None:
        if self._status and not self.path.is_dir():
            raise LatregError(f"the folder of this run is gone, and what was saved with it: {self.path}")
        with replacing(self.path / name) as file:
            file.write(content)


class FolderCheck(Callback):
    """Hydra makes the folder of a run before it calls the job; where that cannot work, this says so in one sentence."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        check_experiment(config)
        check_writable(_folder(config, "hydra.run.dir"))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        check_experiment(config)
        check_writable(_folder(config, "hydra.sweep.dir"))


def _folder(config: DictConfig, key: str) -> Path:
    """What a setting of Hydra's names; ends the process where it is made of settings that have no value."""
    try:
        return Path(str(OmegaConf.select(config, key, throw_on_missing=True)))
    except OmegaConfBaseException as error:
        sys.exit(f"{key} must name a folder, but: {one_line(error)}")  # see below


def check_experiment(config: DictConfig) -> None:
    """End the process where the folder of an experiment would not be one below multirun/."""
    with suppress(OmegaConfBaseException):  # the job says what is missing
        try:
            check_name("name", config.name)
        except LatregError as error:
            sys.exit(str(error))


def check_writable(folder: Path) -> None:
    """Make the folder and write a file of some size for a moment; end the process where either fails."""
    probe = folder / ".probe"
    try:
        with replacing(probe) as file:
            file.write(bytes(PROBE_BYTES))
        probe.unlink()
    except LatregError as error:
        sys.exit(str(error))  # Hydra swallows whatever else a callback raises


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
    """The resolved configuration of a run as plain containers; {} where there is none.

    Raises:
        LatregError: it is damaged, or none that a run writes.
    """
    path = run_dir / "config.yaml"
    if not path.is_file():
        return {}
    return cast(dict[str, Any], OmegaConf.to_container(read_settings(path)))


_STATUS: dict[str, type | tuple[type, ...]] = {  # of entries that are read again
    **{"state": str, "seconds": (int, float), "command": str, "git_commit": str, "weights": dict, "versions": dict}
}


def read_status(run_dir: Path) -> dict[str, Any]:
    """The content of status.json, without entries of another type than a run writes; {} where it cannot be read."""
    try:
        content = read_json(run_dir / "status.json")
    except LatregError:
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if isinstance(value, _STATUS.get(key, object))}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Dotted key, old and new value of each setting that differs, that of the stage first."""
    old, new = flatten(before, "."), flatten(now, ".")
    changed = sorted((key != "stage", key) for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return [(key, old.get(key), new.get(key)) for _, key in changed]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
