"""Pictures of records for people: source | last correct | first wrong | most severe | difference."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from latreg.interfaces import BoundaryRecord
from latreg.runs.files import replacing

SCALE = 3
GAIN = 2  # of the difference: a change of 64 levels saturates
_GAP = 4  # pixels between tiles and rows
_WHITE, _GRAY = 255, 128
_TITLES = ("source", "last correct", "first wrong", "most severe", "difference")
_LINE_HEIGHT = 18


def strip(record: BoundaryRecord) -> np.ndarray:
    """One row of tiles, (3 H, 15 W + gaps, 3) uint8: source, last correct, first wrong, most severe, difference.

    The difference of the most severe image, or else of the first wrong one, to the source is signed and amplified,
    gray = no change. Tiles without an image are white.
    """
    source, first, severe = record.source_image, record.first_image, record.severe_image
    fault = first if severe is None else severe
    difference = None if fault is None else _difference(source, fault)
    blank = np.full_like(source, _WHITE)
    images = (source, record.last_image, first, severe, difference)
    gap = np.full((SCALE * source.shape[1], _GAP, 3), _WHITE, dtype=np.uint8)
    tiles = [part for image in images for part in (gap, enlarged(blank if image is None else image))]
    return np.concatenate(tiles[1:], axis=1)


def examples(records: Sequence[BoundaryRecord], class_names: Sequence[str] = (), rows: int = 20) -> Image.Image:
    """The best pairs with captions: robust faults, then valid ones, then other flips, the most similar first."""
    pairs = sorted((r for r in records if r.first_image is not None), key=_rank)[:rows]
    return _sheet(pairs, class_names) if pairs else _sentence("No pairs: no source of this run was flipped.")


def examples_image(
    records: Sequence[BoundaryRecord], path: Path, class_names: Sequence[str] = (), rows: int = 20
) -> None:
    """Write the PNG of `examples`, whole or not at all.

    Raises:
        LatregError: the disk is full, or the folder cannot be written.
    """
    picture = examples(records, class_names, rows)
    with replacing(path) as file:
        picture.save(file, format="PNG")


def caption(record: BoundaryRecord, class_names: Sequence[str] = ()) -> list[str]:
    """The lines beside a strip: classes and validity, the SUT's p of the right class in each image, coordinates.

    Args:
        record: of the strip.
        class_names: one for each class; () = classes are shown as numbers.
    """
    lost = record.measured.get("label_kept") is False
    valid = "robust" if record.robust_fault else "valid"
    validity = valid if record.valid_fault else "label lost" if lost else "not valid"
    label, answer = (class_names[c] if class_names and c is not None else c for c in (record.label, record.predicted))
    return [f"{label} -> {answer}   {validity}", f"p({label}) {_probabilities(record)}", *_coordinates(record)]


def _coordinates(record: BoundaryRecord) -> list[str]:
    psi = record.psi_first if record.psi_first is not None else record.source_psi
    if not record.layers:
        return [f"psi {psi:.2f}"]
    return [f"psi {psi:.2f}   alpha {record.alpha_first or 0:.2f}", "layers " + ",".join(map(str, record.layers))]


def _probabilities(record: BoundaryRecord) -> str:
    wrong = (record.first_probabilities, record.severe_probabilities)
    rest = [record.confidence(p) for p in (record.last_probabilities, *wrong)]
    return " ".join(f"{p:.2f}" for p in [record.source_confidence, *rest] if p is not None)


def _rank(record: BoundaryRecord) -> tuple[bool, bool, float, int, int]:
    similarity = record.measured.get("ssim")
    kinds = not record.robust_fault, not record.valid_fault
    return *kinds, -(-1.0 if similarity is None else similarity), record.label, record.z_seed


def _difference(source: np.ndarray, image: np.ndarray) -> np.ndarray:
    change = image.astype(np.int16) - source  # wide enough not to wrap around
    pixels: np.ndarray = np.clip(_GRAY + GAIN * change, 0, 255).astype(np.uint8)
    return pixels


def enlarged(image: np.ndarray) -> np.ndarray:
    """(1 or 3, H, W) => (SCALE H, SCALE W, 3), each pixel a square."""
    pixels = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    return pixels.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(13)


def _sheet(records: Sequence[BoundaryRecord], class_names: Sequence[str]) -> Image.Image:
    """A header and one captioned strip per record."""
    strips = [strip(record) for record in records]
    captions = [caption(record, class_names) for record in records]
    height, width = strips[0].shape[:2]
    pitch = max(height, 4 * _LINE_HEIGHT) + _GAP
    beside = math.ceil(max(_font().getlength(line) for lines in captions for line in lines))
    picture = Image.new("RGB", (width + 4 * _GAP + beside, _LINE_HEIGHT + 2 + pitch * len(strips)), "white")
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate(_TITLES):
        draw.text((column * (width + _GAP) / len(_TITLES) + 2, 1), title, fill="black", font=_font())
    for row, (lines, tiles) in enumerate(zip(captions, strips, strict=True)):
        top = _LINE_HEIGHT + 2 + row * pitch
        picture.paste(Image.fromarray(tiles), (0, top))
        for line, text in enumerate(lines):
            draw.text((width + 2 * _GAP, top + line * _LINE_HEIGHT), text, fill="black", font=_font())
    return picture


def _sentence(text: str) -> Image.Image:
    picture = Image.new("RGB", (480, 40), "white")
    ImageDraw.Draw(picture).text((10, 10), text, fill="black", font=_font())
    return picture
