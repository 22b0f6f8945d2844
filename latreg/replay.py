"""Verify a run from its files: python -m latreg.replay RUN_DIR, or only one pair of it: --label CLASS --z-seed SEED.

Renders every saved image again from its row and compares it with the stored one. Shows the stored one to the SUT and
compares the answer with the recorded one. The exit code is 0 only if all of them agree.
"""

import argparse
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from latreg.data.images import to_unit
from latreg.errors import LatregError
from latreg.interfaces import BoundaryRecord
from latreg.jobs.assembly import Parts, assemble
from latreg.runs.faults import read_fitting
from latreg.runs.folder import read_status
from latreg.runs.provenance import changed_files
from latreg.runs.saved_config import executed_by, load_run_config
from latreg.search.outcome import saved_images
from latreg.search.recipes import latent_sizes

TOLERANCE = 1  # levels of 256: rounding may differ between batch sizes and machines
BATCH = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.replay", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="folder of a finished or interrupted search")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run the code of a generator, classifier, strategy or gate that the run names",
    )
    parser.add_argument("--label", type=int, help="only pairs of sources of this class, by its number")
    parser.add_argument("--z-seed", type=int, help="only pairs of sources with this z_seed")
    options = parser.parse_args(arguments)
    try:
        return replay(options.run_dir, options.trust, options.label, options.z_seed)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2


def replay(run_dir: Path, trust: bool = False, label: int | None = None, z_seed: int | None = None) -> int:
    """Verify the pairs of a run, or of one class or z_seed; print what fails and `verified N of N`; 0 = all hold."""
    pairs = verified = 0
    for record, problem in problems(run_dir, trust, label, z_seed):
        pairs += 1
        verified += problem is None
        if problem is not None:
            print(f"class {record.label}, z_seed {record.z_seed}: {problem}")
    print(f"verified {verified} of {pairs}")
    return 0 if verified == pairs else 1


def problems(
    run_dir: Path, trust: bool = False, label: int | None = None, z_seed: int | None = None
) -> Iterator[tuple[BoundaryRecord, str | None]]:
    """Every boundary pair of a run with what is wrong with it, None where all of its images hold.

    Args:
        run_dir: of the search.
        trust: run code that the run's config.yaml names, of a generator or a classifier that is not latreg's.

    Raises:
        LatregError: the folder is none of a run or damaged, its networks are not there or not the same any more, or it
            names code while `trust` is off.
    """
    cfg = load_run_config(run_dir)
    if (named := executed_by(cfg)) and not trust:
        raise LatregError(
            f"replaying {run_dir} runs code that is not latreg's ({', '.join(named)}): give --trust if you know it"
        )
    pairs, ids = [], set()
    for record in read_fitting(run_dir, cfg.dataset):
        ids.add((record.generator_id, record.sut_id))
        wanted = label in (None, record.label) and z_seed in (None, record.z_seed)
        pairs += [record] if record.flipped and wanted else []
    if not pairs and (label, z_seed) != (None, None):
        raise LatregError(f"expected a pair of class {label}, z_seed {z_seed} in {run_dir} (None = any), got none")
    parts = assemble(cfg)
    check_recipes(run_dir, pairs, parts)
    check_weights(run_dir, ids, parts)
    for first in range(0, len(pairs), BATCH):
        batch = pairs[first : first + BATCH]
        yield from zip(batch, verify(batch, parts), strict=True)


def check_recipes(run_dir: Path, pairs: Sequence[BoundaryRecord], parts: Parts) -> None:
    """Refuse rows that no search of these networks writes."""
    layers = range(parts.generator.num_ws)
    lengths = latent_sizes(parts.generator)
    for pair in pairs:
        answers = (p for p in (pair.last_probabilities, pair.first_probabilities) if p is not None)
        whole = pair.source_image is not None and all(answers)
        latents = (pair.latent_last, pair.latent_first, pair.severe_latent)
        fit = all(latent is None or len(latent) == lengths.get(pair.space or "") for latent in latents)
        if not whole or not fit or not set(pair.layers or ()) <= set(layers):
            raise LatregError(
                f"expected pairs with images, answers, layers 0 .. {len(layers) - 1} and latents of the generator's "
                f"size in {run_dir}, but that of class {pair.label}, z_seed {pair.z_seed} is none"
            )


def check_weights(run_dir: Path, ids: Collection[tuple[str, str]], parts: Parts) -> None:
    """Refuse to verify with other networks than the run's, whose ids are those of generator and SUT in its records."""
    for name, found, before in (
        ("generator", parts.generator.id, {generator for generator, _ in ids}),
        ("SUT", parts.sut.id, {sut for _, sut in ids}),
    ):
        if others := before - {found}:
            read = read_status(run_dir).get("classifier_files")
            files = changed_files(read, parts.classifier_files) if name == "SUT" else ""
            raise LatregError(
                f"{run_dir} was made with the {name} {others.pop()[:12]}, but its weights are now {found[:12]}{files}"
            )


def verify(pairs: Sequence[BoundaryRecord], parts: Parts) -> list[str | None]:
    """What is wrong with each pair, None where all of its images hold."""
    images = [(row, saved) for row, pair in enumerate(pairs) for saved in saved_images(pair)]
    stored = np.stack([saved.image for _, saved in images])
    rendered = parts.renderer.render([saved.request for _, saved in images]).cpu().numpy()
    answers = parts.sut(to_unit(torch.from_numpy(stored))).argmax(dim=1).tolist()
    problems: list[str | None] = [None] * len(pairs)
    for (row, saved), again, answer in zip(images, rendered, answers, strict=True):
        difference = int(np.abs(again.astype(int) - saved.image.astype(int)).max())
        if difference > TOLERANCE:
            problems[row] = f"the {saved.role} image differs by {difference} levels from the one rendered from its row"
        elif answer != saved.predicted:
            problems[row] = f"the SUT answers {answer} to the {saved.role} image, but {saved.predicted} was recorded"
    return problems


if __name__ == "__main__":
    sys.exit(main())
