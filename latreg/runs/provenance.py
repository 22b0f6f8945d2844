"""How a result came to be: the command line and the versions, for cards and run folders."""

import platform
from importlib.metadata import version

from hydra.core.hydra_config import HydraConfig

from latreg import __version__
from latreg.config import Config

PACKAGES = ("torch", "lightning", "numpy", "hydra-core", "wandb", "datasets")


def versions() -> dict[str, str]:
    """Versions of this software, of Python and of the packages that results depend on."""
    return {"latreg": __version__, "python": platform.python_version()} | {name: version(name) for name in PACKAGES}


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
    return " ".join(["python -m latreg.run", *given])
