"""JSON files, which may be anybody's: read whole or not at all, and checked against a schema key by key."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, cast, get_args, get_origin

from latreg.errors import LatregError
from latreg.settings import declared_at, refusal

MAX_JSON = 2**26  # bytes
MAX_SHOWN = 200  # characters of what is wrong with a value


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        LatregError: it is missing, too large or damaged.
    """
    try:
        if not path.is_file():
            raise LatregError("there is no such file")
        if (size := path.stat().st_size) > MAX_JSON:
            raise LatregError(f"it must have at most {MAX_JSON} bytes, got {size}")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise LatregError(f"expected JSON in {path}, but it cannot be read: {error}") from error


def read_names(path: Path) -> dict[str, Any]:
    """The content of a JSON file that gives names to values.

    Raises:
        LatregError: it is missing, damaged, or holds something else.
    """
    return checked(read_json(path), str(path))


def checked(content: Any, source: str, schema: type[Any] | None = None, *, complete: bool = True) -> dict[str, Any]:
    """What was read, as it is, if a schema allows it.

    Args:
        content: values by their names; those that the schema does not name pass.
        source: what the content is called in a message.
        schema: a dataclass whose fields have types and what `latreg.settings.setting` declares; None = any values.
        complete: whether each field must be there that may not be None.

    Raises:
        LatregError: one is missing, or is of another type or outside of its range.
    """
    if not isinstance(content, dict):
        raise LatregError(f"expected names with values in {source}, got {_kind(content)}")
    for of in fields(schema) if schema else ():
        value, optional = content.get(of.name), NoneType in get_args(of.type)
        if value is not None:
            _check(declared_at(of), of.type, value, of.name, source)
        elif not optional and (complete or of.name in content):
            raise LatregError(f"expected {of.name} in {source}, got {'null' if of.name in content else 'none'}")
    return content


def _check(declared: Any, kind: Any, value: Any, name: str, source: str) -> None:
    if is_dataclass(kind):
        checked(value, f"{name} of {source}", cast(type[Any], kind))
    elif get_origin(kind) is list and is_dataclass(get_args(kind)[0]):
        _check_rows(value, get_args(kind)[0], name, source)
    elif get_origin(kind) is dict and not isinstance(value, Mapping):
        raise LatregError(f"{name} in {source} must be names with values, got {_kind(value)}")
    elif problem := refusal(declared, kind, value):
        raise LatregError(f"{name} in {source} {problem[:MAX_SHOWN]}")


def _check_rows(value: Any, kind: Any, name: str, source: str) -> None:
    if not isinstance(value, list):
        raise LatregError(f"{name} in {source} must be a list, got {_kind(value)}")
    for row in value:
        checked(row, f"{name} of {source}", kind)


def _kind(value: Any) -> str:
    words = {dict: "names with values", list: "a list", str: "text", NoneType: "null"}
    return words.get(type(value), "a number" if isinstance(value, int | float) else "something else")
