"""The source code that a classifier's answers come from."""

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def code_files(found: Any, path: str) -> dict[str, str]:
    """File name and sha256 of each module that something comes from.

    These are its own module, and all that it imports, directly or not, anywhere in its text. Installed packages and
    latreg itself are left out, unless it comes from there. No module is run for that.

    Args:
        found: a class, a function, or an instance of a class.
        path: the import path that it was found by.
    """
    homes = (path.rpartition(".")[0], getattr(found, "__module__", None), type(found).__module__)
    todo = [name for name in dict.fromkeys(homes) if name and name != "builtins"]
    roots, seen = set(todo), set(todo)
    files: dict[str, str] = {}
    while todo:
        name = todo.pop(0)
        spec = _spec(name)
        file = Path(spec.origin) if spec and spec.origin else None
        if spec is None or file is None or not file.is_file() or not (name in roots or is_own(name, file)):
            continue
        content = file.read_bytes()
        files[f"{name.replace('.', '/')}{file.suffix}"] = hashlib.sha256(content).hexdigest()
        if is_own(name, file):
            imported = [one for one in _imports(content, name, spec) if one not in seen]
            seen.update(imported)
            todo += dict.fromkeys(imported)
    return dict(sorted(files.items()))


def is_own(name: str, file: Path) -> bool:
    """Whether a module is neither installed nor part of latreg."""
    installed = any(folder in file.resolve().parents for folder in INSTALLED)
    return not installed and name.partition(".")[0] != "latreg"


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is, without importing it or its parents."""
    if loaded := getattr(sys.modules.get(name), "__spec__", None):
        return loaded if isinstance(loaded, ModuleSpec) else None
    parent = name.rpartition(".")[0]
    places: Sequence[str] | None = None
    if parent:
        package = _spec(parent)
        if package is None or package.submodule_search_locations is None:
            return None
        places = list(package.submodule_search_locations)
    try:
        return PathFinder.find_spec(name, places)
    except (ImportError, ValueError):
        return None


def _imports(content: bytes, name: str, spec: ModuleSpec) -> Iterator[str]:
    """The modules that a text imports, with the packages that they lie in; some of the names may be no modules."""
    package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except (SyntaxError, ValueError):  # compiled code
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            try:
                base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            except ImportError:
                continue
            yield from _with_parents(base or "")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: end + 1]) for end in range(len(parts)) if parts[0])
