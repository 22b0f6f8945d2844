"""The code of what lives in a Python session, where no file may hold it."""

import hashlib
import inspect
import sys
from collections.abc import Iterator
from functools import _lru_cache_wrapper, partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from torch import Tensor, nn

from latreg.classifier.adapters.code import is_own
from latreg.zoo import weights


def digest_of(classifier: Any) -> str:
    """The sha256 of the code that answers, and of the networks that it reaches.

    These are functions and classes, those that they name, close over or have as defaults, and the tensors of modules
    among them.
    Installed packages and latreg are left out, and so is what other variables hold, which may change while images are
    asked about. A comment changes nothing; another version of Python is another code.
    """
    return hashlib.sha256("\n".join(_parts(classifier, set())).encode()).hexdigest()


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """The state_dict without what is no tensor."""
    return {name: value for name, value in network.state_dict().items() if isinstance(value, Tensor)}


def _parts(thing: Any, seen: set[int]) -> Iterator[str]:
    """Lines that tell what a function, a class, a network or an object of a class does; none for anything else."""
    if isinstance(thing, staticmethod | classmethod | _lru_cache_wrapper):
        yield from _parts(thing.__wrapped__, seen)
    elif isinstance(thing, property):
        yield from _parts(thing.fget, seen)
    elif inspect.ismethod(thing):
        yield from _parts(thing.__func__, seen)
        yield from _parts(thing.__self__, seen)
    elif isinstance(thing, partial):
        for part in (thing.func, *thing.args, *thing.keywords.values()):
            yield from _parts(part, seen)
    elif id(thing) not in seen:
        seen.add(id(thing))
        if isinstance(thing, FunctionType):
            yield from _of_function(thing, seen) if _is_own(thing) else ()
        elif isinstance(thing, type):
            yield from _of_class(thing, seen) if _is_own(thing) else ()
        elif isinstance(thing, nn.Module):
            yield weights.sha256_of(tensors_of(thing))
            for kind in dict.fromkeys(type(module) for module in thing.modules()):
                yield from _parts(kind, seen)
        elif _is_own(type(thing)):
            yield from _parts(type(thing), seen)
            for value in getattr(thing, "__dict__", {}).values():
                yield from _parts(value, seen)


def _of_function(function: FunctionType, seen: set[int]) -> Iterator[str]:
    yield from _of_code(function.__code__)
    yield repr([_constant(value) for value in function.__defaults__ or ()])
    if named := function.__kwdefaults__:
        yield repr({name: _constant(value) for name, value in sorted(named.items())})
    reached = [function.__globals__.get(name) for name in _names(function.__code__)]
    reached += [*(function.__defaults__ or ()), *(named or {}).values()]
    for cell in function.__closure__ or ():
        try:
            reached.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    for one in reached:
        yield from _parts(one, seen)


def _of_class(kind: type, seen: set[int]) -> Iterator[str]:
    yield kind.__qualname__
    for name, value in sorted(vars(kind).items()):
        lines = list(_parts(value, seen))
        yield from (name, *lines) if lines else ()
    for base in kind.__bases__:
        yield from _parts(base, seen)


def _of_code(code: CodeType) -> Iterator[str]:
    yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant)
        else:
            yield _constant(constant)


def _constant(value: Any) -> str:
    """Its text, which does not depend on the process; nothing for what is no constant of a text."""
    if isinstance(value, frozenset):
        return repr(sorted(map(repr, value)))
    return repr(value) if isinstance(value, int | float | complex | str | bytes | tuple | None) else ""


def _names(code: CodeType) -> list[str]:
    nested = [name for constant in code.co_consts if isinstance(constant, CodeType) for name in _names(constant)]
    return [*code.co_names, *nested]


def _is_own(thing: Any) -> bool:
    """Whether a function or a class is neither of Python, nor of an installed package, nor of latreg."""
    name = getattr(thing, "__module__", None) or ""
    if name == "__main__":  # the file of a notebook's is that of its launcher
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return name not in sys.builtin_module_names and (file is None or is_own(name, Path(file)))
