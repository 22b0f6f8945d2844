"""Compose the configuration from conf/ inside a process that may use Hydra for itself."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir, version
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from latreg.config import conf_dir, register
from latreg.errors import LatregError
from latreg.misfits import in_one_sentence


def composed(overrides: Sequence[str], settings: Mapping[str, Any] | None = None, hydra: bool = False) -> DictConfig:
    """The configuration of a command line.

    Args:
        overrides: as on the command line.
        settings: dotted keys with their values, which come after the overrides.
        hydra: with the group `hydra`, which says where the run's folder is.

    Raises:
        LatregError: a choice or a key does not exist, or a value does not fit the schema.
    """
    register()
    try:
        with _hydra_apart():
            config = compose("config", list(overrides), return_hydra_config=hydra)
        for key, value in (settings or {}).items():
            OmegaConf.update(config, key, value)
    except (HydraException, OmegaConfBaseException) as error:
        raise LatregError(in_one_sentence(error)) from error
    return config


@contextmanager
def _hydra_apart() -> Iterator[None]:
    """Initialize Hydra with conf/, and leave its global state as the caller had it."""
    outer, base = GlobalHydra.instance().hydra, version.VersionBase.instance().version_base
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(conf_dir(), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = outer
        version.VersionBase.instance().version_base = base
