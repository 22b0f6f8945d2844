"""Make a checkpoint for weights that have none: python -m latreg.generator.transfer FILE.ckpt --weights .. -o OUT.ckpt.

G and its average become those of the weights. D and its optimizer come from the checkpoint, of a training of the same
architecture on other images: a D that knows these learns the new ones sooner than one that knows nothing, and leads G
less astray meanwhile (docs/decisions.md). G's optimizer and the strength of the augmentation start anew.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from latreg.errors import LatregError
from latreg.generator.networks import GeneratorNetwork
from latreg.generator.widen import NETWORKS
from latreg.runs.files import replacing
from latreg.training.checkpoints import read_checkpoint
from latreg.zoo import weights

KIND = "generator"  # what the description in a weights file says it is
AUGMENTATION = ("augment.p", "augment.signs")  # tensors of a training; 0 at its beginning


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.generator.transfer", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="of a generator's training on other images, also a compact one")
    parser.add_argument("--weights", required=True, help="of a generator: a file or zoo:<name>")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parsed = parser.parse_args(arguments)
    try:
        n_images = transfer(parsed.checkpoint, parsed.weights, parsed.output)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{parsed.output}: {n_images:,} images seen, {parsed.output.stat().st_size / 2**20:.1f} MiB")
    return 0


def transfer(checkpoint: Path, name: str, output: Path) -> int:
    """Write a checkpoint with the G of a weights file; returns how many images this has seen, by its card.

    Args:
        checkpoint: whose D is taken.
        name: of the weights, a path or zoo:<name>.
        output: where it is written.

    Raises:
        LatregError: a file is missing, damaged or of another kind, the architectures differ, or the output cannot be
            written.
    """
    content = read_checkpoint(checkpoint, "n_images")
    path = weights.resolve(name, "--weights")
    state, description = weights.load(path, KIND)
    wanted, found = content["hyper_parameters"]["generator"], description["arguments"]
    differing = [key for key in wanted if wanted[key] != found.get(key)]
    if differing:
        key = differing[0]
        raise LatregError(f"expected the {key} {wanted[key]} of {checkpoint} in {path}, got {found.get(key)}")
    network = weights.built(lambda: GeneratorNetwork(**wanted), state, path)
    tensors, of_network = content["state_dict"], network.state_dict()
    tensors |= {prefix + key: tensor for prefix in NETWORKS for key, tensor in of_network.items()}
    tensors |= {key: torch.zeros_like(tensor) for key, tensor in tensors.items() if key in AUGMENTATION}
    content["optimizer_states"][0]["state"] = {}  # Adam makes a new one where there is none
    content["n_images"] = weights.read_card(path).get("images_seen", 0)
    with replacing(output) as file:
        torch.save(content, file)
    return int(content["n_images"])


if __name__ == "__main__":
    sys.exit(main())
