"""Files that are there whole or not at all, whatever ends the process or fills the disk."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from latreg.errors import LatregError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` once it is complete and on the disk.

    Raises:
        LatregError: the disk is full or the folder cannot be written; what was at `path` is still there.
    """
    temporary = path.with_name(f".{path.name}.tmp")  # a name that readers of the folder pass over
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # a quota or a remote disk may refuse only now
            os.replace(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write numbers and names for people and programs, whole or not at all.

    Raises:
        LatregError: the disk is full or the folder cannot be written.
    """
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one sentence that the disk refuses what happens in the block.

    Raises:
        LatregError: in place of an OSError, or what safetensors makes of one.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LatregError(f"{path} must be in a folder that can be written, with free space, but: {reason}") from error


def check_empty(folder: Path) -> None:
    """Refuse to write among other files.

    Raises:
        LatregError: the folder holds something.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise LatregError(f"the output must be a new or empty folder, but {folder} holds something")
