"""How this process takes memory from the system."""

import ctypes
import sys
from collections.abc import Callable

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's mallopt(3)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next tensor, instead of giving it back.

    A network on a CPU allocates its feature maps anew for each batch. By default each of them comes from the system as
    fresh pages, which costs up to a quarter of the time of a training step. Does nothing where there is no glibc.
    """
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def give_back_freed_memory() -> None:
    """Give whole pages that are free back to the system, in a few hundredths of a second.

    What is kept between tensors that live long and differ in size adds up. Does nothing where there is no glibc.
    """
    malloc_trim = _glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _glibc(name: str) -> Callable[..., object] | None:
    """A function of the C library, None if it has none of that name."""
    if not sys.platform.startswith("linux"):
        return None
    function: Callable[..., object] | None = getattr(ctypes.CDLL(None), name, None)
    return function
