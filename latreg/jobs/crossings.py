"""How far from its source the classifier changes its mind, in w and in pixels."""

from collections.abc import Sequence

import numpy as np
import torch

from latreg.interfaces import BoundaryRecord
from latreg.search.outcome import saved_images
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer

AT_ONCE = 256  # pairs whose latents are in memory


def in_pixels(record: BoundaryRecord) -> float | None:
    """L2 distance of the first wrong image from the source's, over all levels in [0, 1]; None without a crossing."""
    if not _crosses(record) or record.first_image is None:
        return None
    return float(np.linalg.norm(record.first_image.astype(float) - record.source_image) / 255)


def in_w(records: Sequence[BoundaryRecord], renderer: Renderer) -> list[float | None]:
    """Of each record the L2 distance of the same two in w, the root of the mean square over layers.

    It is the length of a displacement that all layers share; one of eight layers alone counts an eighth of its square.
    """
    found: list[float | None] = [None] * len(records)
    ends = {i: images for i, record in enumerate(records) if (images := _ends(record))}
    places = list(ends)
    for start in range(0, len(places), AT_ONCE):
        own = places[start : start + AT_ONCE]
        for place, distance in zip(own, _distances([r for i in own for r in ends[i]], renderer), strict=True):
            found[place] = distance
    return found


@torch.inference_mode()
def _distances(requests: Sequence[Request], renderer: Renderer) -> list[float]:
    """Between each two."""
    w = renderer.compose(requests).double()
    found: list[float] = (w[1::2] - w[::2]).square().sum(dim=2).mean(dim=1).sqrt().tolist()
    return found


def _ends(record: BoundaryRecord) -> tuple[Request, ...]:
    """The recipes of the source and of the first wrong image, () without a crossing."""
    images = {image.role: image.request for image in saved_images(record)} if _crosses(record) else {}
    return (images["source"], images["first"]) if "first" in images else ()


def _crosses(record: BoundaryRecord) -> bool:
    """Whether there is an image on both sides: a misclassified source crosses nothing."""
    return record.flipped and record.last_margin is not None
