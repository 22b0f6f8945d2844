"""Sources of a generator that knows no classes: each takes the class that somebody sees in its image."""

from collections.abc import Callable, Sequence

from torch import Tensor

from latreg.errors import LatregError
from latreg.images import to_unit
from latreg.interfaces import Proposal, Source
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer

BATCH = 64  # images at once, whatever the hardware, so that it plays no part in the labels
SEEDS_PER_SOURCE = 20  # z_seeds that are looked at for each wanted source


def label_sources(
    renderer: Renderer,
    classify: Callable[[Tensor], Tensor],
    classes: Sequence[int],
    per_class: int,
    first_z_seed: int,
    psi: float,
    min_confidence: float,
) -> list[Source]:
    """The first z_seeds of each class, as many as wanted; classes take turns.

    Args:
        renderer: of the generator.
        classify: images (N, C, H, W) => probabilities (N, K); its answer is the class.
        classes: the wanted ones.
        per_class: sources of each. Rare classes may have fewer, since no more than `SEEDS_PER_SOURCE` z_seeds are
            looked at for each wanted source.
        first_z_seed: where to begin.
        psi: truncation at which the image is looked at.
        min_confidence: what the class must have at least, else the z_seed is passed over.

    Raises:
        LatregError: none of the images shows a wanted class.
    """
    found: dict[int, list[Source]] = {label: [] for label in classes}
    end = min(first_z_seed + SEEDS_PER_SOURCE * per_class * len(classes), 2**32)
    for first in range(first_z_seed, end, BATCH):
        z_seeds = range(first, min(first + BATCH, end))
        images = renderer.render([Request(Source(0, z_seed), Proposal(psi)) for z_seed in z_seeds])
        probability, answer = classify(to_unit(images)).max(1)
        for z_seed, p, label in zip(z_seeds, probability.tolist(), answer.tolist(), strict=True):
            if label in found and p >= min_confidence and len(found[label]) < per_class:
                found[label].append(Source(label, z_seed))
        if all(len(sources) == per_class for sources in found.values()):
            break
    if not any(found.values()):
        raise LatregError(f"expected images of the classes {list(classes)}, but of {end - first_z_seed} none shows one")
    return [sources[i] for i in range(per_class) for sources in found.values() if i < len(sources)]
