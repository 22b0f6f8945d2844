"""Whether a fault hangs on a knife edge: what the SUT says when each pixel may be one gray level off.

This is a measurement after the search. Its queries are counted apart, and no search knows the answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from latreg.interfaces import NOISE_DRAWS as DRAWS
from latreg.interfaces import Source
from latreg.search.engine import SourceSearch

LEVELS = 1  # of 256, by which a pixel may change

Measure = Callable[[Sequence[np.ndarray], Source], list[np.ndarray]]  # images (C, H, W) uint8 => probabilities (K,)


@dataclass(frozen=True)
class Stability:
    """Shares of draws in which the SUT stays wrong, None where there is no such image, and what they cost."""

    first: float | None = None
    severe: float | None = None
    queries: int = 0


def stability_of(search: SourceSearch, measure: Measure) -> Stability:
    """Of a source's best pair: its first wrong image and its most severe point, which may be the same."""
    best = search.best
    if best is None:
        return Stability()
    first, severe = best.pair.first, None if best.severe is None else best.severe.evaluation
    own = [first] if severe is None or severe is first else [first, severe]
    images = [image for evaluation in own for image in noisy(evaluation.image, search.source)]
    wrong = [answer.argmax() != search.source.label for answer in measure(images, search.source)]
    shares = [float(np.mean(wrong[i : i + DRAWS])) for i in range(0, len(wrong), DRAWS)]
    return Stability(shares[0], None if severe is None else shares[-1], len(images))


def noisy(image: np.ndarray, source: Source) -> np.ndarray:
    """DRAWS copies of an image (C, H, W) uint8 whose values are -1, 0 or +1 off, each as likely, within 0 .. 255.

    The draws depend on the source and the shape alone.
    """
    rng = np.random.default_rng([source.label, source.z_seed])
    noise = rng.integers(-LEVELS, LEVELS + 1, (DRAWS, *image.shape))
    levels: np.ndarray = np.clip(image + noise, 0, 255).astype(np.uint8)
    return levels
