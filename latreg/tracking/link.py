"""The way to Weights & Biases, whose errors are told once and swallowed.

Whatever goes wrong there (no key, no network, a server that dies, a full disk) costs the mirror and never the run:
tracking goes on offline or stops, and one warning says so. All that wandb writes lies in `<run folder>/wandb`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latreg.errors import LatregError
from latreg.runs.provenance import git_commit, versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from wandb import Run

    from latreg.config import TrackingConfig

log = logging.getLogger(__name__)

INIT_TIMEOUT = 30.0  # seconds that an unreachable server may cost at the start ..
FINISH_TIMEOUT = 60.0  # .. and at the end of a run

# Where wandb keeps its things, below the run's folder; a variable that the user has set stays.
_FOLDERS = {
    "WANDB_DIR": ".",
    "WANDB_DATA_DIR": "wandb/data",  # images of tables and artifacts wait here for their upload
    "WANDB_CACHE_DIR": "wandb/cache",
    "WANDB_CONFIG_DIR": "wandb/config",
}
_SET_BY_USER = frozenset(name for name in _FOLDERS if name in os.environ)


class Link:
    """The way to W&B, whose errors are told once and swallowed: online, then offline, then none.

    Args:
        tracking: the `tracking` group, whose `group` and `name` come before these.
        config: what is stored as the run's configuration.
        run_dir: the run's folder.
        group: runs that are shown together.
        name: of the run.
        begin: done with each run that is opened.
        job_type: None = the stage.
    """

    def __init__(
        self,
        tracking: TrackingConfig,
        config: dict[str, Any],
        run_dir: Path,
        group: str,
        *,
        name: str,
        begin: Callable[[Run], None],
        job_type: str | None = None,
    ) -> None:
        run_dir = Path(run_dir).absolute()
        self.run: Run | None = None
        self._begin = begin
        self._ways = {"online": [_online, _offline], "offline": [_offline], "disabled": []}[tracking.mode]
        self._arguments: dict[str, Any] = {
            "project": tracking.project,
            "entity": tracking.entity,
            "group": tracking.group or group,
            "name": tracking.name or name,
            "job_type": job_type or config.get("stage"),
            "tags": _tags(tracking, config),
            "config": config | {"git_commit": git_commit(), "versions": versions()},
            "dir": str(run_dir),
            "reinit": "create_new",  # this run is nobody else's
        }
        self._open()

    def attempt(self, action: Callable[[Run], object]) -> None:
        """Do something with the run; where that fails, with the run of the next way."""
        while self.run is not None:
            try:
                action(self.run)
            except Exception as error:
                self._give_up(error)
            else:
                return

    def close(self, failed: bool) -> None:
        """End the run; harmless when it has ended. What a dead server did not take is on disk."""
        run, self.run, self._ways = self.run, None, []
        if run is None:
            return
        try:
            run.finish(exit_code=1 if failed else 0)
        except Exception as error:
            log.warning("W&B did not take everything (%s); to upload: wandb sync %s", _one_line(error), _folder(run))

    def _open(self) -> None:
        while self.run is None and self._ways:
            try:
                way = self._ways.pop(0)
                _set_folders(Path(self._arguments["dir"]))
                self.run = way(self._arguments)
                self._begin(self.run)
            except Exception as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Say so, leave the run behind, and open the next."""
        rest = "tracking continues offline" if self._ways else "the run continues without tracking"
        log.warning("W&B failed (%s); %s", _one_line(error), rest)
        run, self.run = self.run, None
        if run is not None:
            with suppress(Exception):
                run.finish(exit_code=1)
        self._open()


def _set_folders(run_dir: Path) -> None:
    """Must happen before the first import of wandb, and again for each job of a multirun."""
    for name, folder in _FOLDERS.items():
        if name not in _SET_BY_USER:
            path = (run_dir / folder).resolve()
            path.mkdir(parents=True, exist_ok=True)
            os.environ[name] = str(path)


def sign_in() -> None:
    """Take the API key that is set. W&B itself would open a menu and wait for an answer wherever there is a terminal.

    Raises:
        LatregError: none is set.
    """
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    if not wandb.login(prompt=False, verify=False):
        raise LatregError("no API key is set (`wandb login` or WANDB_API_KEY)")


def _online(arguments: dict[str, Any]) -> Run:
    import wandb

    sign_in()
    run = wandb.init(**arguments, mode="online", settings=_settings())
    log.info("W&B: %s", run.url)
    return run


def _offline(arguments: dict[str, Any]) -> Run:
    import wandb

    run = wandb.init(**arguments, mode="offline", settings=_settings())
    log.info("W&B is offline; to upload: wandb sync %s", _folder(run))
    return run


def _settings() -> Any:
    """Silent, since what matters is logged here; run.log holds the console, whose progress bar W&B would garble."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        init_timeout=INIT_TIMEOUT,
        finish_timeout=FINISH_TIMEOUT,
        finish_timeout_raises=True,
        x_save_requirements=False,  # a list of all packages takes a second; the config has the versions that count
    )


def _folder(run: Run) -> Path:
    return Path(run.dir).parent


def _tags(tracking: TrackingConfig, config: Mapping[str, Any]) -> list[str]:
    """What runs are compared by, in W&B's limit of 64 characters."""
    names = [
        config.get(group, {}).get(key)
        for group, key in (("strategy", "name"), ("truncation", "mode"), ("dataset", "name"))
    ]
    return list(dict.fromkeys(str(tag)[:64] for tag in [*names, *tracking.tags] if tag))


def _one_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
