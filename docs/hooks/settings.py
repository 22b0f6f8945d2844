"""The reference of settings, written from the schema (latreg/config.py) and the choices of its groups (conf/)."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import MISSING as NO_FACTORY
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import omegaconf
from omegaconf import OmegaConf

from docs.hooks.comments import comments_in, comments_of, head_of
from latreg import settings
from latreg.config import STAGES_THAT_GO_ON, Config, conf_dir
from latreg.settings import RESULT, Purpose, Setting, declared_at, declared_in

KINDS = {int: "whole number", float: "number", str: "text", bool: "true, false", dict: "mapping", Any: "any"}
PURPOSES = {of: name.lower() for name, of in vars(settings).items() if isinstance(of, Purpose)}
INTRODUCTION = """# Settings

Each setting can be given on the command line (`search.classes=[3,8]`), and in `overrides` of `latreg.search`. In
italics stand the values that it takes, its default (a choice of its group may give another one), and what it is for,
which says where it may differ:
"""


def page() -> str:
    """The settings of each group, what each of its choices sets, and the settings that only some choices have."""
    said = comments_in(settings)
    lines = [INTRODUCTION, *(f"- *{name}*: {said[name.upper()]}" for name in PURPOSES.values())]
    lines += ["", "## The job", "", *_list(Config, "", [of for of in fields(Config) if not _group(of)])]
    for name, group in ((of.name, _group(of)) for of in fields(Config)):
        if group is None:
            continue
        lines += ["", f"## {name}", "", _first_line(group), "", *_list(group, name, fields(group))]
        if choices := list(_choices(name)):
            lines += [f"### Choices of {name}", "", *choices]
        for derived in _derived(group):
            lines += ["", f"### {_title(name, derived)}", "", _first_line(derived), ""]
            lines += _list(derived, name, own_fields(derived))
    return "\n".join(lines) + "\n"


def own_fields(schema: type[Any]) -> list[Field[Any]]:
    """The fields of a schema that the one it is derived from does not have."""
    before = {of.name for of in fields(schema.__bases__[0])}
    return [of for of in fields(schema) if of.name not in before]


def _group(of: Field[Any]) -> type[Any] | None:
    """The schema of a field that holds settings of its own."""
    return of.type if isinstance(of.type, type) and is_dataclass(of.type) else None


def _derived(schema: type[Any]) -> Iterator[type[Any]]:
    """Those that may stand in its place and have settings of their own."""
    for derived in schema.__subclasses__():
        if derived.__module__ == schema.__module__ and own_fields(derived):
            yield derived
        yield from _derived(derived)


def _title(group: str, schema: type[Any]) -> str:
    """The choice that it is the schema of, `strategy=mixing`; where there is none, what its docstring calls it."""
    defaults = {of.name: of.default for of in fields(schema)}
    choice = defaults.get("kind", defaults["name"])
    there = (Path(conf_dir()) / group / f"{choice}.yaml").is_file()
    return f"`{group}={choice}`" if there else _first_line(schema).split(":")[0]


def _first_line(schema: type[Any]) -> str:
    return (schema.__doc__ or "").split("\n", maxsplit=1)[0]


# ---- lists


def _list(schema: type[Any], group: str, of_schema: Iterable[Field[Any]]) -> Iterator[str]:
    """Each setting with what it is, and those of the groups among them."""
    purposes = declared_in(Config, RESULT, STAGES_THAT_GO_ON)
    for of in of_schema:
        key = f"{group}.{of.name}".lstrip(".")
        if group_of := _group(of):
            yield from _list(group_of, key, fields(group_of))
        else:
            purpose = PURPOSES[purposes[key].purpose or RESULT]
            yield from _entry(key, f"{_sentence(schema, of)} *{_values(of)}; {_default(of)}; {purpose}*")


def _sentence(schema: Any, of: Field[Any]) -> str:
    """What a setting is, as the schema says behind or above it."""
    said = comments_of(schema)[of.name]
    first = said.split(maxsplit=1)[0]
    if first.isalpha() and first.islower():
        said = first.capitalize() + said.removeprefix(first)
    return said if said.endswith(".") else f"{said}."


def _choices(group: str) -> Iterator[str]:
    """What each file of a group is, and what it sets."""
    for path in sorted((Path(conf_dir()) / group).glob("*.yaml")):
        yield from _entry(f"{group}={path.stem}", f"{head_of(path)} *{_sets(path)}*")


def _entry(term: str, text: str) -> tuple[str, str, str]:
    return f"`{term}`", f":   {text}", ""


def _sets(path: Path) -> str:
    content = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(content, dict)
    given = ((key, value) for key, value in _flat(content) if key != "defaults" and value != omegaconf.MISSING)
    return ", ".join(f"`{key}={_shown(value)}`" for key, value in given)


def _flat(content: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


# ---- in italics


def _values(of: Field[Any]) -> str:
    """The type and the range of a setting: "whole number, 1 to 64, or null"."""
    declared, kind, optional = declared_at(of), of.type, isinstance(of.type, UnionType)
    if isinstance(kind, UnionType):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    words = [", ".join(f"`{choice}`" for choice in declared.choices)] if declared.choices else [_kind(kind)]
    return ", ".join([*words, *_bounds(declared), *(["or null"] if optional else [])])


def _kind(kind: Any) -> str:
    if get_origin(kind) in (list, tuple):
        return f"list of {_kind(get_args(kind)[0])}"
    return KINDS[get_origin(kind) or kind]


def _bounds(declared: Setting) -> Iterator[str]:
    if declared.low is not None and declared.high is not None:
        yield f"{declared.low:,} to {declared.high:,}"
        return
    for bound, words in ((declared.low, "at least"), (declared.above, "above"), (declared.high, "at most")):
        if bound is not None:
            yield f"{words} {bound:,}"
    if declared.below is not None:
        yield f"below {declared.below:,}"


def _default(of: Field[Any]) -> str:
    value = of.default if of.default_factory is NO_FACTORY else of.default_factory()
    return "value in conf/" if value == omegaconf.MISSING else f"default `{_shown(value)}`"


def _shown(value: Any) -> str:
    """As it is written on the command line."""
    return value if isinstance(value, str) and value else json.dumps(value)
