"""Continue the training of a generator with wider layers: python -m latreg.generator.widen last.ckpt -o FILE.ckpt
--channel-base 2048 --channel-max 256.

New channels start as copies of old ones. Convolutions get small random weights for the copies, which are subtracted
from the weights of the originals: images hardly change, and the copies can learn something else (Chen et al., Net2Net,
arXiv 1511.05641). G's optimizer starts anew. D, which judges features, keeps its width and its optimizer.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latreg.errors import LatregError
from latreg.generator.networks import GeneratorNetwork, block_channels, block_resolutions
from latreg.runs.files import replacing
from latreg.training.checkpoints import read_checkpoint

SPREAD = 0.1  # of weights for copies, as a share of that of the old weights
NETWORKS = ("G.", "G_ema.")  # in checkpoints; both get the same random numbers, so that one stays the other's average


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.generator.widen", description=__doc__)
    parser.add_argument(
        "checkpoint", type=Path, help="checkpoints/last.ckpt of a generator's training, or a compact one"
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--channel-base", type=int, required=True, help="as generator.channel_base of the training")
    parser.add_argument("--channel-max", type=int, required=True)
    parsed = parser.parse_args(arguments)
    try:
        widen(parsed.checkpoint, parsed.output, parsed.channel_base, parsed.channel_max)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{parsed.output}: {parsed.output.stat().st_size / 2**20:.1f} MiB")
    return 0


def widen(checkpoint: Path, output: Path, channel_base: int, channel_max: int) -> None:
    """Write a checkpoint of a wider generator.

    Raises:
        LatregError: it cannot be read, is not of a generator's training, D judges images, whose width goes with G's,
            a width would become smaller, or the output cannot be written.
    """
    content = read_checkpoint(checkpoint, "n_images")
    settings = content["hyper_parameters"]
    if "features" not in settings["discriminator"]:
        raise LatregError(f"expected a training whose D judges features, but that of {checkpoint} judges images")
    wider = {**settings["generator"], "channel_base": channel_base, "channel_max": channel_max}
    _check_widths(settings["generator"], wider)
    content["state_dict"] |= widened(content["state_dict"], wider)
    settings["generator"] = wider
    content["optimizer_states"][0]["state"] = {}  # Adam makes a new one where there is none
    with replacing(output) as file:
        torch.save(content, file)


def _check_widths(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for resolution in block_resolutions(old["img_resolution"]):
        before, after = (block_channels(resolution, of["channel_base"], of["channel_max"]) for of in (old, new))
        if after < before:
            raise LatregError(f"expected at least the {before} channels at {resolution}x{resolution}, got {after}")


def widened(state: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of G and G_ema in the state of a training, for a G of these arguments."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in GeneratorNetwork(**arguments).state_dict().items()}
    rng = torch.Generator().manual_seed(0)
    result = {}
    for name, shape in shapes.items():
        noise = _noise(state[f"G.{name}"], shape, rng)
        gain = math.sqrt(shape[1] / state[f"G.{name}"].shape[1]) if name.endswith("torgb.weight") else 1.0
        for network in NETWORKS:
            result[network + name] = _widened(state[network + name], shape, noise) * gain
    return result


def _noise(old: Tensor, shape: torch.Size, rng: torch.Generator) -> Tensor | None:
    """Random weights for a convolution's new inputs, None where the tensor is no convolution or has no new ones."""
    if old.ndim < 4 or shape[1] == old.shape[1]:
        return None
    added = torch.randn(shape[0], shape[1] - old.shape[1], *shape[2:], generator=rng)
    return added * (SPREAD * old.float().std())


def _widened(old: Tensor, shape: torch.Size, noise: Tensor | None) -> Tensor:
    """Copies of the old outputs or channels, and the weights of new inputs, taken from those which these copy.

    A share of the copied weights comes to the noise: so the sum of squares, by which demodulation divides, stays.
    """
    if old.ndim == 0:
        return old.float()
    new = old.float()[torch.arange(shape[0]) % len(old)]
    if noise is None:
        return new
    copied = torch.arange(old.shape[1], shape[1]) % old.shape[1]
    weights = noise + SPREAD**2 * new[:, copied]
    return torch.cat([new.index_add(1, copied, weights, alpha=-1), weights], dim=1)


if __name__ == "__main__":
    sys.exit(main())
