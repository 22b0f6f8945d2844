"""Settings as the command line composes them: each only once in a process, as that takes a third of a second."""

import copy
from functools import cache

from omegaconf import DictConfig, OmegaConf

from latreg import composing
from latreg.config import Config


@cache
def _kept(overrides: tuple[str, ...]) -> DictConfig:
    return composing.composed(overrides)


def composed(*overrides: str) -> DictConfig:
    """A copy that the caller may change."""
    return copy.deepcopy(_kept(overrides))


def config(*overrides: str) -> Config:
    """With the types of the schema."""
    return OmegaConf.to_object(_kept(overrides))  # type: ignore[return-value]


@cache
def saved(*overrides: str) -> str:
    """The config.yaml of a run with these settings."""
    return OmegaConf.to_yaml(_kept(overrides), resolve=True)
