"""How a result came to be: the command line and the versions, for cards and run folders."""

import platform
import shlex
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from latreg import __version__
from latreg.config import Config

PACKAGES = ("torch", "lightning", "numpy", "hydra-core", "wandb", "datasets")


def versions() -> dict[str, str]:
    """Versions of this software, of Python and of the packages that results depend on."""
    return {"latreg": __version__, "python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def git_commit() -> str | None:
    """The commit of a checkout, with -dirty where files were changed; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None


def command(cfg: Config) -> str:
    """The command line of this job, or that of its experiment where Hydra did not start it.

    Without `resume`, which changes no result.
    """
    return command_line() or f"python -m latreg.run +experiment={cfg.name}"


def command_line() -> str | None:
    """The command line of this job without `resume`, None where Hydra did not start it."""
    if not HydraConfig.initialized():
        return None
    given = [one for one in HydraConfig.get().overrides.task if not one.startswith("resume=")]
    return shlex.join(["python", "-m", "latreg.run", *given])


def changed_files(before: object, now: Mapping[str, str]) -> str:
    """Which of the files of a classifier are not what they were, as the end of a sentence.

    Args:
        before: name and sha256 of each, as `status.json` keeps them; anything else where it has none.
        now: those of today.
    """
    if not isinstance(before, Mapping) or not now:
        return ""
    names = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    how = {name: "is gone" if name not in now else "is new" if name not in before else "has changed" for name in names}
    return "".join(f"{', ' if number else ': '}{name} {how[name]}" for number, name in enumerate(names))
