"""Search the latent space of a generator for inputs that an image classifier gets wrong although a person would not.

For notebooks and scripts: `latreg.search`, `open_run`, `compare`, `load_generator`, `load_classifier` (docs/api.md).
"""

import inspect
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from latreg import surroundings
from latreg.errors import LatregError

if TYPE_CHECKING:
    from latreg.api import Faults, Run, compare, load_classifier, load_generator, open_run, search

__version__ = "0.1.0"
__all__ = ["Faults", "LatregError", "Run", "compare", "load_classifier", "load_generator", "open_run", "search"]


class _SearchPackage(ModuleType):
    """`latreg.search` is the function of latreg.api and, as before, the package that holds the strategies.

    Run folders name classes of the package by their import path, so it keeps its name.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> "Run":
        """Search a classifier for faults: see `help(latreg.api.search)`."""
        from latreg.api import search

        return search(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        from latreg.api import search

        return inspect.signature(search)


surroundings.complete()  # before any library is imported that relies on it
import_module("latreg.search").__class__ = _SearchPackage


def __getattr__(name: str) -> Any:
    """What needs torch is imported where it is used."""
    if name in __all__:
        return getattr(import_module("latreg.api"), name)
    raise AttributeError(f"module 'latreg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
