"""Shrink a generator's checkpoint to a third of its size: python -m latreg.generator.compact last.ckpt -o FILE.ckpt.

Networks become float16 and Adam's second moments bfloat16, whose range they need. Its first moments become zero: with
beta1 = 0 they are overwritten in the next step. Training resumes from the file as from any checkpoint, though not with
the same last bits.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from latreg.errors import LatregError
from latreg.runs.files import replacing
from latreg.training.checkpoints import read_checkpoint


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.generator.compact", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="checkpoints/last.ckpt of a generator's training")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parsed = parser.parse_args(arguments)
    try:
        compact(parsed.checkpoint, parsed.output)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{parsed.output}: {parsed.output.stat().st_size / 2**20:.1f} MiB")
    return 0


def compact(checkpoint: Path, output: Path) -> None:
    """Write a smaller copy of a checkpoint.

    Raises:
        LatregError: it cannot be read, is not of a generator's training, or the output cannot be written.
    """
    content = read_checkpoint(checkpoint, "n_images")
    n_images, optimizers = content["n_images"], content["optimizer_states"]
    if any(group["betas"][0] != 0 for state in optimizers for group in state["param_groups"]):
        raise LatregError(f"expected a training with beta1 = 0, but {checkpoint} after {n_images} images has another")
    content["state_dict"] = {name: _half(tensor) for name, tensor in content["state_dict"].items()}
    for state in optimizers:
        state["state"] = {number: _compact_adam(of) for number, of in state["state"].items()}
    with replacing(output) as file:
        torch.save(content, file)


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _compact_adam(state: dict[str, Any]) -> dict[str, Any]:
    second = state["exp_avg_sq"]
    nothing = torch.zeros((), dtype=torch.bfloat16).expand(second.shape)  # stored as one number
    return {**state, "exp_avg": nothing, "exp_avg_sq": second.bfloat16()}


if __name__ == "__main__":
    sys.exit(main())
