"""What libraries take for granted, and a container, a batch job or a closed terminal may lack."""

import io
import os
import sys
import tempfile
from pathlib import Path

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # where Python looks for the name of the user

# Where libraries write, below the folder of all caches.
FOLDERS = {
    "XDG_CACHE_HOME": ".",
    "XDG_CONFIG_HOME": "config",
    "HF_HOME": "huggingface",
    "HF_DATASETS_CACHE": "huggingface/datasets",
    "MPLCONFIGDIR": "matplotlib",
    "NUMBA_CACHE_DIR": "numba",
    "TORCH_HOME": "torch",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
}


def complete() -> None:
    """Make up for closed streams, a user without a name, and a home that is not there or cannot be written."""
    _open_streams()
    if not any(os.environ.get(name) for name in NAMES) and not _has_name():
        os.environ["USER"] = f"uid{os.getuid()}"
    home = Path(os.path.expanduser("~"))
    if home.is_absolute() and _can_write(home):
        return
    for name, folder in FOLDERS.items():
        os.environ.setdefault(name, str(cache_folder() / folder))
    if not home.is_absolute():
        os.environ["HOME"] = str(cache_folder())


def cache_folder() -> Path:
    """Where latreg keeps what it can make again: $LATREG_CACHE, else below the home, else a temporary folder."""
    if given := os.environ.get("LATREG_CACHE"):
        return Path(given).absolute()
    home = Path(os.path.expanduser("~"))
    if home.is_absolute() and _can_write(home):
        return home / ".cache" / "latreg"
    return Path(tempfile.gettempdir()) / f"latreg-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"


def _open_streams() -> None:
    """A closed stream is given to the next file that is opened, and what is printed is written into that."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if isinstance(sys.stdout, io.TextIOWrapper):  # so that it takes file names that are no UTF-8
        sys.stdout.reconfigure(errors="surrogateescape")


def _has_name() -> bool:
    try:
        import pwd

        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    except ImportError:  # not on this system
        return True
    return True


def _can_write(home: Path) -> bool:
    """Whether there is a cache in the home that can be written, or can be made."""
    cache = home / ".cache"
    return os.access(cache if cache.is_dir() else home, os.W_OK | os.X_OK)
