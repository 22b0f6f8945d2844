"""What adapters need from outside: things that settings name by their import path, packages, names of files."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from latreg.errors import LatregError, reason
from latreg.import_paths import named_by


def imported(setting: str, path: str) -> Any:
    """What an import path names, as my_module.Net; modules in the working directory are found.

    Raises:
        LatregError: it cannot be imported, whatever the reason, or cannot be called.
    """
    try:
        found = named_by(path)
    except Exception as error:  # code of somebody else's may raise anything while it is imported
        raise LatregError(
            f"{setting} must be the import path of something, as my_module.name, got {path!r}: "
            f"{reason(error.__cause__ or error)}"
        ) from error
    if not callable(found):
        raise LatregError(f"{setting} must name something that can be called, but {path} is a {type(found).__name__}")
    return found


def extra(package: str, needed_for: str, install: str) -> ModuleType:
    """An optional package.

    Raises:
        LatregError: it is not installed, or cannot be imported.
    """
    try:
        return import_module(package)
    except Exception as error:  # a package for another version of torch raises RuntimeError
        raise LatregError(
            f"{needed_for} needs the package {package}, which cannot be imported ({reason(error)}); {install}"
        ) from error


def in_utf8(path: Path, reader: str) -> Path:
    """The path, for a package that takes no other names.

    Raises:
        LatregError: it is no UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise LatregError(f"{reader} reads no file whose path is not UTF-8: rename {path}, or make a link") from error
    return path
