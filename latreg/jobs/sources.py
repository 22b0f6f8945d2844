"""The sources of a search: drawn, chosen where the SUT is unsure, or labelled; shared out, written and read again."""

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from itertools import product
from pathlib import Path

from torch import Tensor

from latreg.config import Config, first_z_seed_of
from latreg.data.images import to_unit
from latreg.errors import LatregError
from latreg.interfaces import CHOSEN_FROM, Z_SEEDS, BoundaryRecord, Evaluation, Proposal, Source
from latreg.jobs.assembly import Parts
from latreg.jobs.progress import Pause
from latreg.json_files import read_json
from latreg.runs.folder import RunFolder
from latreg.search.criteria import BaselineGate, stratum
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer

log = logging.getLogger(__name__)

BATCH = 64  # images at once, whatever the hardware, so that it plays no part in what is chosen
LOOKS = 400  # z_seeds that are looked at for each uncertain source, at most
SEEDS_PER_SOURCE = 20  # z_seeds that are looked at for each labelled source, at most

_CHOSEN: dict[Hashable, list[Source]] = {}  # what the jobs of a multirun in one process need not choose again


def find_sources(cfg: Config, parts: Parts) -> list[Source]:
    """Those that the configuration asks for; the judge names their classes where the generator knows none."""
    search, generator = cfg.search, parts.generator
    if generator.conditional:
        return make_sources(cfg, generator.num_classes) + chosen_sources(cfg, parts)
    psi = cfg.truncation.psi if cfg.truncation.mode == "fixed" else 1.0
    classes = list(range(generator.num_classes)) if search.classes is None else search.classes
    sure = cfg.validity.min_judge_confidence
    return label_sources(
        parts.renderer, parts.judge or parts.sut, classes, search.sources_per_class, first_z_seed_of(cfg), psi, sure
    )


def make_sources(cfg: Config, num_classes: int) -> list[Source]:
    """Every class with every z_seed; classes take turns, so that a budget cuts them evenly."""
    classes = range(num_classes) if cfg.search.classes is None else cfg.search.classes
    first = first_z_seed_of(cfg)
    seeds = range(first, first + cfg.search.sources_per_class)
    return [Source(label, z_seed) for z_seed, label in product(seeds, classes)]


def chosen_sources(cfg: Config, parts: Parts) -> list[Source]:
    """The uncertain sources that are searched beside those that are drawn."""
    search = cfg.search
    if not search.uncertain_per_class:
        return []
    classes = tuple(range(parts.generator.num_classes) if search.classes is None else search.classes)
    gate = BaselineGate(search.min_confidence, search.min_margin)
    wanted = (gate, classes, search.uncertain_per_class, first_z_seed_of(cfg), search.confident_below)
    settings = repr((cfg.dataset, cfg.generator, cfg.classifier, cfg.device))  # an id is that of weights alone
    key = (parts.generator.id, parts.sut.id, settings, wanted)
    if key not in _CHOSEN:
        _CHOSEN[key] = choose_uncertain(parts.engine.evaluate, *wanted)
    return _CHOSEN[key]


def choose_uncertain(
    evaluate: Callable[[Sequence[Request]], list[Evaluation]],
    gate: BaselineGate,
    classes: Sequence[int],
    per_class: int,
    first_z_seed: int,
    confident_below: float,
) -> list[Source]:
    """So many accepted, uncertain sources of each class; classes take turns.

    Args:
        evaluate: renders and queries, each request for one query.
        gate: what accepts a source.
        classes: the wanted ones. One that the SUT is always sure of may have fewer sources, which is logged.
        per_class: sources of each.
        first_z_seed: of the drawn sources.
        confident_below: a source is uncertain where its second class has at least this probability.
    """

    def wanted(evaluation: Evaluation) -> bool:
        return gate.rejects(evaluation) is None and stratum(evaluation, confident_below) == "uncertain"

    log.info(
        "choosing %d uncertain sources of each of %d classes: up to %d images",
        *(per_class, len(classes), LOOKS * per_class * len(classes)),
    )
    found: list[list[Source]] = []
    pause = Pause(time.monotonic())
    for label in classes:
        chosen: list[Source] = []
        looked = 0
        while len(chosen) < per_class and looked < min(LOOKS * per_class, Z_SEEDS - CHOSEN_FROM):
            sources = [Source(label, first_z_seed + CHOSEN_FROM + looked + i) for i in range(BATCH)]
            answers = evaluate([Request(source, Proposal(1.0)) for source in sources])
            chosen += [source for source, answer in zip(sources, answers, strict=True) if wanted(answer)]
            looked += BATCH
            if pause.over(time.monotonic()):
                log.info("class %d: %d of %d uncertain sources among %d z_seeds", label, len(chosen), per_class, looked)
        if len(chosen) < per_class:
            log.warning("class %d: only %d of %d z_seeds are uncertain", label, len(chosen), looked)
        found.append(chosen[:per_class])
    return [sources[i] for i in range(per_class) for sources in found if i < len(sources)]


def split_chosen(
    records: Sequence[BoundaryRecord], first_z_seed: int
) -> tuple[list[BoundaryRecord], list[BoundaryRecord]]:
    """Records of the drawn sources of a run, and of the chosen ones."""
    first_chosen = first_z_seed + CHOSEN_FROM
    drawn = [record for record in records if record.z_seed < first_chosen]
    return drawn, [record for record in records if record.z_seed >= first_chosen]


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
    end = min(first_z_seed + min(SEEDS_PER_SOURCE * per_class * len(classes), Z_SEEDS), 2**32)
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


def shard_of(sources: Sequence[Source], shard: str | None) -> list[Source]:
    """Every n-th source from the k-th on, for a shard "k/n" with k = 1 .. n; None = all."""
    if shard is None:
        return list(sources)
    k, separator, n = shard.partition("/")
    if not (separator and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise LatregError(f"search.shard must be k/n with k = 1 .. n, got {shard!r}")
    return list(sources[int(k) - 1 :: int(n)])


def write_sources(folder: RunFolder, sources: Sequence[Source], per_class: int) -> None:
    """Keep sources that no setting tells, since a judge named their classes or the SUT was unsure.

    Shards are joined by them, and a resumed run takes them as they are: another device might decide otherwise.

    Args:
        per_class: search.sources_per_class.
    """
    pairs = [[source.label, source.z_seed] for source in sources]
    folder.write_json("sources.json", {"sources_per_class": per_class, "sources": pairs})


def read_sources(run_dir: Path, per_class: int | None = None) -> list[Source]:
    """The sources that were kept so, none where all follow from the settings, or were chosen for another `per_class`.

    Args:
        per_class: search.sources_per_class, None = whatever it was.

    Raises:
        LatregError: the file is damaged.
    """
    path = run_dir / "sources.json"
    if not path.is_file():
        return []
    kept = read_json(path)
    pairs = kept.get("sources") if isinstance(kept, dict) else None
    if not isinstance(pairs, list) or not all(map(_is_pair, pairs)):
        raise LatregError(f"expected the sources of a run in {path}, pairs of class and z_seed, but it is damaged")
    fits = per_class is None or kept.get("sources_per_class") == per_class
    return [Source(*pair) for pair in pairs] if fits else []


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(number) is int for number in value)
