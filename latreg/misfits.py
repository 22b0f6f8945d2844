"""What Hydra and OmegaConf have against settings, in one sentence: the key, what was expected, and what came."""

import re
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from latreg.config import Config
from latreg.settings import declared_at, misfit, unknown

INDEX = r"\[\d+\]"  # of an element of a list, behind the key of the list
SCHEMA = "_schema"  # at the end of the name of a choice that only latreg's own files make


def in_one_sentence(error: HydraException | OmegaConfBaseException) -> str:
    """What was wrong with the settings.

    Args:
        error: one of composing or changing a configuration. What latreg does not know how to say better is said in the
            words of the library.
    """
    if isinstance(error, MissingConfigException) and error.options:
        return _of_a_choice(error)
    if isinstance(error, OverrideParseException) and "LexerNoViableAlt" in str(error):
        return f"{error.override} has characters that need quotes: {_quoted(error.override)}"
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(cause, OmegaConfBaseException) and (sentence := _of_a_setting(cause)):
        return sentence
    return "; ".join(dict.fromkeys(_in_its_words(one) for one in (error, cause) if one))


def _quoted(override: str) -> str:
    """As a shell must be given it."""
    key, _, value = override.partition("=")
    return f"\"{key}='{value}'\""


def _in_its_words(error: BaseException) -> str:
    """The message without what Hydra and OmegaConf add for those who know their insides."""
    return " ".join(re.split(r"\s+full_key: |\s+See https://", str(error))[0].split())


def _of_a_choice(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    options = [option for option in error.options or () if not option.endswith(SCHEMA)]
    return f"{group} must be one of {', '.join(options)}, got {choice}"


def _of_a_setting(error: OmegaConfBaseException) -> str | None:
    """None where the schema does not know the key, or cannot say what is wrong."""
    key = error.full_key or ""
    group, _, name = key.rpartition(".")
    if isinstance(error, ConfigAttributeError | ConfigKeyError) and is_dataclass(error.object_type):
        return unknown(name, group, [of.name for of in fields(error.object_type)])
    found = _field_of(key)
    if not isinstance(error, ValidationError) or found is None:
        return None
    value = OmegaConf.to_container(error.value) if OmegaConf.is_config(error.value) else error.value
    for _ in range(key.count("[")):
        value = [value]
    return f"{re.sub(INDEX, '', key)} {misfit(declared_at(found), found.type, value)}"


def _field_of(key: str) -> Field[Any] | None:
    """The field of the schema that a dotted key names, in any of the schemas that may stand in a group's place."""
    schemas: list[type[Any]] = [Config]
    found = None
    for name in re.sub(INDEX, "", key).split("."):
        found = next((of for schema in schemas for of in fields(schema) if of.name == name), None)
        if found is None:
            return None
        schemas = list(_family(found.type)) if is_dataclass(found.type) else []
    return found


def _family(schema: Any) -> Iterator[type[Any]]:
    yield schema
    for derived in schema.__subclasses__():
        yield from _family(derived)
