"""The settings of a run as its folder holds them, which may be anybody's and older than this version of latreg."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event, ScalarEvent, YAMLError

from latreg.config import (
    Config,
    OwnClassifierConfig,
    OwnGeneratorConfig,
    OwnStrategyConfig,
    check_names,
    register,
    typed,
)
from latreg.errors import LatregError

GROUPS = (  # of Config: what is a mapping of settings
    *("dataset", "generator", "classifier", "strategy", "truncation", "validity", "search", "evaluation", "trainer"),
    "tracking",
)
MAX_BYTES = 2**20  # of a config.yaml; with the names of 20,000 classes it has half of them
MAX_DEPTH = 20  # of its nesting
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_run_config(run_dir: Path) -> Config:
    """The typed configuration of a run from its folder, which may be anybody's: see `read_settings`.

    Raises:
        LatregError: there is no config.yaml, or not one of this version of latreg, or it names a strategy that is none
            of latreg's, or data sets and networks in a way that leads out of folders.
    """
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise LatregError(f"expected the folder of a run with a config.yaml, got {run_dir}")
    saved = read_settings(path)
    try:
        schema = _schema_of(saved)
        config = typed(cast(DictConfig, OmegaConf.merge(schema, saved)))
    except (OmegaConfBaseException, HydraException, LatregError) as error:
        raise LatregError(f"{path} does not fit this version of latreg: {' '.join(str(error).split())}") from error
    if not isinstance(config.strategy, OwnStrategyConfig) and config.strategy._target_ != schema.strategy._target_:
        raise LatregError(
            f"strategy._target_ must be {schema.strategy._target_} in {path}, got {config.strategy._target_}"
        )
    check_names(config)
    return config


def executed_by(config: Config) -> list[str]:
    """The settings by which a configuration has code run that is not latreg's, as `key=value`."""
    found = []
    if isinstance(config.generator, OwnGeneratorConfig):
        found.append(f"generator._target_={config.generator._target_}")
    if isinstance(config.classifier, OwnClassifierConfig) and (key := config.classifier.executes):
        found.append(f"classifier.{key}={getattr(config.classifier, key)}")
    if isinstance(config.strategy, OwnStrategyConfig):
        found.append(f"strategy._target_={config.strategy._target_}")
    found += [f"validity.more_gates.{name}={gate.get('_target_')}" for name, gate in config.validity.more_gates.items()]
    return found


def read_settings(path: Path) -> DictConfig:
    """The config.yaml of a run as it stands there, without resolving anything, since it may be anybody's.

    Raises:
        LatregError: it cannot be read, is too large or nested too deep, or holds what no run writes: aliases,
            interpolations, or groups that are no groups.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise LatregError(f"it has more than {MAX_BYTES} bytes")
        text = content.decode()
        _check_events(yaml.parse(text, Loader=_YAML))
        saved = OmegaConf.create(text)
    except (OSError, OmegaConfBaseException, YAMLError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise LatregError(f"expected the settings of a run in {path}, but it is damaged: {reason}") from error
    if not isinstance(saved, DictConfig) or not saved:
        raise LatregError(f"expected the settings of a run in {path}, got none")
    for group in GROUPS:
        if group in saved and not isinstance(saved[group], DictConfig):
            raise LatregError(f"expected the settings of a run in {path}, but {group} is no group of settings")
    return as_it_was(saved)


def _check_events(events: Iterable[Event]) -> None:
    """Refuse what would grow or act when it is read, looking at one piece of the file at a time."""
    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise LatregError(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(event, AliasEvent):
            raise LatregError(f"it has the alias *{event.anchor}, which no run writes")
        if isinstance(event, ScalarEvent) and "${" in event.value:
            raise LatregError(f"it has the interpolation {event.value[:100]}, which no run writes")


def as_it_was(saved: DictConfig) -> DictConfig:
    """A saved configuration, with what newer settings would have been when all run_seeds searched the same sources, and
    when a search ended on the boundary.
    """
    search, validity = saved.get("search"), saved.get("validity")
    if isinstance(search, DictConfig):
        search.setdefault("severity_steps", 0)
        if saved.get("run_seed"):
            search.setdefault("z_seed_stride", 0)
    if isinstance(validity, DictConfig):
        validity.setdefault("stability", False)
        validity.setdefault("held_out", 0)
    return saved


def with_defaults(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run, with the defaults of keys that it has not got since they are newer than the run.

    Keys that are not in the schema any more stay. A new key without a default is "???".

    Raises:
        LatregError: this version of latreg has no such strategy or classifier.
    """
    config = OmegaConf.create(dict(saved))
    try:
        defaults = OmegaConf.to_container(_schema_of(config))
        merged = OmegaConf.to_container(OmegaConf.merge(OmegaConf.create(defaults), config))
    except (OmegaConfBaseException, HydraException) as error:
        raise LatregError(f"the settings of the run do not fit this version of latreg: {error}") from error
    return cast(dict[str, Any], merged)


def _schema_of(saved: DictConfig) -> DictConfig:
    """The schema with the groups' own ones that a saved configuration was made with."""
    register()
    schema = OmegaConf.structured(Config)
    strategy = saved.get("strategy", {})
    schema.strategy = OwnStrategyConfig if "args" in strategy else _stored("strategy", strategy.get("name"))
    if "_target_" in saved.get("generator", {}):
        schema.generator = OwnGeneratorConfig
    if kind := saved.get("classifier", {}).get("kind"):
        schema.classifier = _stored("classifier", kind)
    return cast(DictConfig, schema)


def _stored(group: str, name: object) -> Any:
    """The schema of that name in a group.

    Raises:
        LatregError: there is none.
    """
    store = ConfigStore.instance()
    known = [file.removesuffix("_schema.yaml") for file in store.list(group) if file.endswith("_schema.yaml")]
    if name not in known:
        raise LatregError(f"a saved {group} must be one of {', '.join(sorted(known))}, got {str(name)[:100]}")
    return store.load(f"{group}/{name}_schema.yaml").node
