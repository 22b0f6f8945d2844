"""Convert a StyleGAN2 pickle into a weights file: python -m latreg.import_generator FILE.pkl -o NAME.safetensors.

Reads snapshots of NVIDIA's StyleGAN2-ADA-PyTorch and of its StyleGAN3 repository (cfg=stylegan2), and writes the
averaged generator G_ema with a card. Nothing in the pickle is executed.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from latreg.errors import LatregError
from latreg.generator.class_means import W_AVG_SAMPLES, class_means
from latreg.generator.importing.stylegan2 import generator_of, half_precision_blocks, read_network
from latreg.generator.importing.values import read_pickle
from latreg.generator.networks import GeneratorNetwork
from latreg.runs.files import writing
from latreg.zoo import weights

# What a value of another kind than expected may raise.
MISLAID = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.import_generator", description=__doc__)
    parser.add_argument("pickle", type=Path, help="the pickle, for example network-snapshot-025000.pkl")
    parser.add_argument("-o", "--output", type=Path, required=True, help="weights file to write (.safetensors)")
    parser.add_argument(
        "--w-avg-samples", type=int, default=W_AVG_SAMPLES, help="number of latents for the means of w, in all"
    )
    parsed = parser.parse_args(arguments)
    try:
        print(import_generator(parsed.pickle, parsed.output, parsed.w_avg_samples))
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def import_generator(pickle: Path, output: Path, w_avg_samples: int = W_AVG_SAMPLES) -> str:
    """Write weights and card of the generator in a pickle; returns a sentence that describes it.

    Raises:
        LatregError: the pickle is damaged, dangerous, or holds no StyleGAN2; the output cannot be written.
    """
    if output.suffix != ".safetensors":
        raise LatregError(f"the output must end in .safetensors, got {output}")
    if not pickle.is_file():
        raise LatregError(f"expected a pickle to import, but there is no file {pickle}")
    content = read_pickle(pickle)
    try:
        original = generator_of(content)
        settings, state = read_network(original)
        half_precision = half_precision_blocks(original)
    except LatregError as error:
        raise LatregError(f"{pickle} cannot be imported: {error}") from error
    except MISLAID as error:
        raise LatregError(f"{pickle} cannot be imported: its tensors and settings do not fit together") from error
    if w_avg_samples < max(settings["c_dim"], 1):
        raise LatregError(f"--w-avg-samples must be at least one per class, got {w_avg_samples}")
    network = GeneratorNetwork(**settings).eval()
    network.load_state_dict(state, strict=False)
    mapping = network.mapping
    mapping.w_avg_class.copy_(class_means(mapping, w_avg_samples) if mapping.c_dim else mapping.w_avg[None])
    card = {
        "kind": "generator",
        "architecture": "stylegan2",
        "imported_from": pickle.name,
        "pickle_sha256": weights.sha256(pickle),
        "settings": settings,
        "half_precision_blocks": half_precision,  # of the original on a GPU; latreg computes in float32
        "w_avg_samples": w_avg_samples if mapping.c_dim else 0,
        "stored_as": "float32",
        "licence": "that of the pickle",
    }
    with writing(output):
        weights.save(output, network.state_dict(), {"kind": "generator", "arguments": settings}, card, half=False)
    kind = f"of {mapping.c_dim} classes" if mapping.c_dim else "without classes"
    size, channels = settings["img_resolution"], settings["img_channels"]
    return f"{output}: a StyleGAN2 {kind}, {size}x{size} with {channels} channels; w has {network.num_ws} layers"


if __name__ == "__main__":
    sys.exit(main())
