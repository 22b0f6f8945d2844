"""Checkpoints of trainings, read with care."""

from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from latreg.errors import LatregError, reason

NEEDED = ("state_dict", "hyper_parameters", "optimizer_states")


def read_checkpoint(path: Path, *also: str) -> dict[str, Any]:
    """What Lightning saved there, on the CPU.

    Args:
        also: what it must hold beside NEEDED.

    Raises:
        LatregError: the file is missing, damaged, or no checkpoint of a training.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a dozen types, AssertionError and KeyError among them
        raise LatregError(f"expected a whole checkpoint in {path}, but it cannot be read: {reason(error)}") from error
    lacking = [name for name in (*NEEDED, *also) if not isinstance(content, dict) or name not in content]
    if lacking:
        raise LatregError(f"expected the checkpoint of such a training in {path}, but it has no {lacking[0]}")
    return cast(dict[str, Any], content)


def is_finite(module: nn.Module) -> bool:
    """Whether all parameters are."""
    return all(bool(parameter.isfinite().all()) for parameter in module.parameters())


def last_good(path: Path | None) -> str:
    """Which checkpoint a failed training leaves, None = none, for its message."""
    return "no checkpoint is there" if path is None else f"the last good checkpoint is {path}"
