"""A pair of the gallery in words: its link, what its numbers mean, and the commands that show it again."""

import base64
import io
import shlex
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from latreg.report.rows import RUNS, Pair
from latreg.report.text import number, truncation_of

KINDS = {
    "robust": "A valid fault that does not hang on a knife edge: behind the boundary the classifier is wrong by a "
    "margin of at least 0.1, or in each of ten draws of noise of one gray level.",
    "valid": "It passes the gates of the run on the boundary.",
    "label lost": "The judge no longer sees the class of the source, so it is no fault of the classifier.",
    "not valid": "It fails a gate of the run.",
}

CHECKS = {
    "screened": "Source and fault look alike: SSIM at least 0.95, relative L2 at most 0.2, unless the run says else.",
    "in_distribution": "A variational autoencoder of real images reconstructs it as well as real ones.",
    "typical": "It lies as close to real images of its class as these do.",
    "label_kept": "The judge still sees the class of the source, and is as sure of it as the run asks.",
    "held_out": "A classifier that has no part in search and gates still sees the class of the source.",
}  # others are gates of somebody's own
TILES = ("source", "last correct", "first wrong", "most severe", "difference")


class Images(NamedTuple):
    """A PNG in base64, and what its images are, from left to right."""

    png: str
    names: tuple[str, ...]


class Fact(NamedTuple):
    """A number of a pair and what it says."""

    name: str
    value: str
    meaning: str


def anchor(pair: Pair) -> str:
    """The id of a pair on the page, which is its link: no source is shown twice for a strategy and center."""
    cell = pair.cell
    return f"pair-{cell.dataset}-{cell.strategy}-{cell.center}-{pair.label}-{pair.z_seed}"


def kind(pair: Pair) -> str:
    """One of KINDS."""
    if pair.robust_fault:
        return "robust"
    if pair.valid_fault:
        return "valid"
    return "label lost" if pair.flags.get("label_kept") is False else "not valid"


def size(png: str) -> tuple[int, int]:
    """Width and height of a PNG in base64, from its first bytes."""
    width, height = struct.unpack(">II", base64.b64decode(png[:32])[16:24])
    return width, height


def images(pair: Pair) -> Images:
    """Those that a pair has: a fault that was drawn is its own source, a flip that is not valid has no severe one."""
    names = _tiles(pair)
    missing = {"last correct", "difference"} if pair.p_last is None else set()
    missing |= {"most severe"} if pair.p_severe is None else set()
    kept = [number for number, name in enumerate(names) if name not in missing]
    png = pair.png if len(kept) == len(names) else _only(pair.png, kept, len(names))
    return Images(png, tuple(names[number] for number in kept))


def _tiles(pair: Pair) -> tuple[str, ...]:
    """What the tiles of its strip are, white ones too; older results have no most severe one."""
    width, height = size(pair.png)
    return TILES if round(width / height) == len(TILES) else (*TILES[:3], TILES[-1])


def _only(png: str, kept: Sequence[int], of: int) -> str:
    """A strip of so many square tiles without those that are not kept."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as strip:
        side = strip.height
        pitch = (strip.width - side) // (of - 1)
        shorter = Image.new(strip.mode, (pitch * (len(kept) - 1) + side, side), "white")
        for place, number in enumerate(kept):
            tile = strip.crop((number * pitch, 0, number * pitch + side, side))
            shorter.paste(tile, (place * pitch, 0))
    file = io.BytesIO()
    shorter.save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def facts(pair: Pair, class_names: Sequence[str]) -> Iterator[Fact]:
    """The numbers of a pair, those that it has."""
    label, answer = class_names[pair.label], class_names[pair.predicted]
    yield Fact(
        "classes", f"{label} → {answer}", f"Made as {label}; the classifier takes the wrong images for {answer}."
    )
    yield Fact("kind", kind(pair), KINDS[kind(pair)])
    yield Fact("search", f"{pair.cell.dataset}: {where(pair)}", "Strategy, truncation of the source, and its center.")
    images = dict(zip(TILES, (pair.p_source, pair.p_last, pair.p_first, pair.p_severe), strict=False))
    shown = ", ".join(f"{name} {number(p)}" for name, p in images.items() if p is not None)
    yield Fact("p", shown, f"The probability that the classifier gives {label} in each image.")
    if pair.ssim is not None:
        yield Fact("SSIM", number(pair.ssim), "How alike source and fault are; 1 is equal.")
    if pair.layers:
        mixture = f"alpha {number(pair.alpha)} in the layers {' '.join(map(str, pair.layers))}"
        yield Fact("mixed", mixture, "So much of the latent of a rival class is in the first wrong image.")
    elif pair.psi is not None and pair.psi != pair.source_psi:
        yield Fact("flips at", f"psi {number(pair.psi)}", "The truncation of the first wrong image.")
    for check, passed in pair.flags.items():
        if passed is not None:
            meaning = CHECKS.get(check, "A gate of the run's own.")
            yield Fact(check.replace("_", " "), "yes" if passed else "no", meaning)
    if pair.of > 1:
        found = "valid faults" if pair.valid_fault else "flips that are not valid"
        yield Fact("stands for", f"{pair.alike} of {pair.of}", f"So many {found} of these searches look like it.")
    yield Fact("source", f"class {pair.label}, z_seed {pair.z_seed}", "The seed draws the latent of the source.")


def where(pair: Pair) -> str:
    """mixing, psi 0.7, global center; of an adaptive truncation with the psi of the source."""
    return f"{pair.cell.strategy}, {truncation_of(pair)}, {pair.cell.center} center"


def replay(pair: Pair) -> str:
    """The command that renders and classifies the pair again from the files of its run."""
    folder = shlex.quote(pair.run) if pair.run else f"{RUNS}/.."
    return f"python -m latreg.replay {folder} --label {pair.label} --z-seed {pair.z_seed}"


def search(pair: Pair) -> str:
    """The command that searches its source again, with today's weights; empty where results do not tell it."""
    if not pair.command:
        return ""
    return (
        f"{pair.command} 'search.classes=[{pair.label}]' search.first_z_seed={pair.z_seed} search.z_seed_stride=0 "
        "search.shard=null search.sources_per_class=1 search.uncertain_per_class=0"
    )
