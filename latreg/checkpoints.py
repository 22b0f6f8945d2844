"""Checkpoints of trainings, read with care."""

import pickle
from pathlib import Path
from typing import Any

import torch

from latreg.errors import LatregError

NEEDED = ("state_dict", "hyper_parameters", "optimizer_states")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What Lightning saved there, on the CPU.

    Raises:
        LatregError: the file is missing, damaged, or no checkpoint of a training.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise LatregError(f"expected a whole checkpoint in {path}, but {reason}") from error
    if not isinstance(content, dict) or any(name not in content for name in NEEDED):
        raise LatregError(f"expected the checkpoint of a training in {path}, but it holds something else")
    return content
