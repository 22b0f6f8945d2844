"""What a job was, in one line above its results: what was searched, and what was set beside that."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from latreg.config import SEARCH
from latreg.runs.cell import Cell
from latreg.runs.folder import flatten

_SAID = ("name", "stage", "resume")  # by the name, or of no result


def headline(cfg: DictConfig) -> str:
    """mnist, mixing, no truncation, class center: search.max_queries_per_source=200 search.classes=[0,1]."""
    name = cfg.name
    if cfg.stage == SEARCH:
        groups = {key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("dataset", "strategy", "truncation")}
        name = f"{cfg.dataset.name}, {Cell.of(groups).name}"
    given = {key: OmegaConf.select(cfg, key) for key in dict.fromkeys([*_of_experiment(), *_of_command()])}
    shown = [f"{key}={_word(value)}" for key, value in given.items() if not isinstance(value, DictConfig)]
    return f"{name}: {' '.join(shown)}" if shown else name


def _of_experiment() -> Iterator[str]:
    """Keys that the file of the experiment sets; choices of groups are no settings."""
    hydra = HydraConfig.get().runtime
    chosen = hydra.choices.get("experiment")
    places = [Path(source.path) for source in hydra.config_sources if source.schema == "file"]
    files = [place / "experiment" / f"{chosen}.yaml" for place in places]
    for file in (file for file in files if chosen and file.is_file()):
        content: Any = OmegaConf.to_container(OmegaConf.load(file))
        yield from (key for key in flatten(content, ".") if key.partition(".")[0] not in ("defaults", "hydra", *_SAID))


def _of_command() -> Iterator[str]:
    for override in HydraConfig.get().overrides.task:
        key, equals, _ = override.partition("=")
        if equals and key not in _SAID and "@" not in key and not key.startswith(("+", "~", "/")):
            yield key


def _word(value: Any) -> str:
    return str(value).replace(" ", "") if OmegaConf.is_config(value) else "null" if value is None else str(value)
