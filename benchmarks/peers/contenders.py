"""Who takes part: peers by name, and strategies of latreg; all of them end as records, judged by the same gates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from benchmarks.cases import configured
from benchmarks.naive import NaiveNetworks
from benchmarks.peers.authors import FirstFlip, StyleMixing
from benchmarks.peers.pixels import HopSkipJump, ProjectedGradient
from benchmarks.peers.searching import Peer, Subject, search_all
from benchmarks.peers.smoo import Smoo
from latreg.classifier.sut import TorchSUT
from latreg.config import Config, conf_dir
from latreg.generator.pretrained import StyleGAN2
from latreg.interfaces import Appraisal, BoundaryRecord, Evaluation, Proposal, Source
from latreg.jobs.assembly import Parts, assemble, make_strategy, white_box
from latreg.jobs.sources import make_sources
from latreg.jobs.workers import find_records, make_context
from latreg.search.engine import Engine
from latreg.search.outcome import to_record
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer
from latreg.search.stability import stability_of

EPSILON = {"mnist": 0.3, "fashion_mnist": 0.1, "cifar10": 8 / 255}  # the usual radii of attacks in L-infinity, of 1


def _random(dataset: str) -> Peer:
    return FirstFlip(_published(dataset, "random").strategy.psi_grid)  # type: ignore[attr-defined]


def _mixing(dataset: str) -> Peer:
    cfg = _published(dataset, "mixing")
    names = ("layer_sets", "partners", "top_k", "rivals_above", "targeted", "bisection_steps")
    settings = {name: getattr(cfg.strategy, name) for name in names}
    return StyleMixing(**settings, min_ssim=cfg.validity.min_ssim, max_l2_rel=cfg.validity.max_l2_rel)


def _smoo(dataset: str) -> Peer:
    cfg = configured(f"dataset={dataset}", "strategy=mimicry")
    return Smoo(cfg.strategy.population, cfg.strategy.generations)  # type: ignore[attr-defined]


def _published(dataset: str, search: str) -> Config:
    """The settings of the authors' code on a data set."""
    return configured(f"+experiment={dataset}_{search}_published")


PEERS: dict[str, Callable[[str], Peer]] = {
    "hopskipjump": lambda dataset: HopSkipJump(),
    "hopskipjump_away": lambda dataset: HopSkipJump(away=True),
    "pgd": lambda dataset: ProjectedGradient(EPSILON[dataset]),
    "pgd_third": lambda dataset: ProjectedGradient(EPSILON[dataset] / 3),
    "authors_random": _random,
    "authors_mixing": _mixing,
    "smoo": _smoo,
}
STRATEGIES = sorted(path.stem for path in Path(conf_dir(), "strategy").glob("*.yaml"))
USUAL = (*PEERS, "random", "mixing", "hunt")  # who takes part where nobody says who


@dataclass(frozen=True)
class Contender:
    """A search with its settings.

    Args:
        one_by_one: it searches source by source, so that it does not matter how many it is given at once.
        run: sources => their records.
    """

    name: str
    one_by_one: bool
    run: Callable[[Sequence[Source]], list[BoundaryRecord]]


class Arena:
    """The networks of a data set, loaded once and asked once, and searches of them.

    Args:
        dataset: one of those whose networks are shipped.
        per_class: sources of a class.
        max_queries: of each source.

    Attributes:
        sources: those that count.
        first: another one, classified right, with which a contender starts up.
    """

    def __init__(self, dataset: str, per_class: int, max_queries: int) -> None:
        self.settings = (
            *(f"dataset={dataset}", "truncation.center=global", f"search.sources_per_class={per_class}"),
            f"search.max_queries_per_source={max_queries}",
        )
        self.cfg = configured("strategy=sampling", *self.settings)
        self.parts = assemble(self.cfg)
        generator, sut = self.parts.generator, self.parts.sut
        assert isinstance(generator, StyleGAN2)
        assert isinstance(sut, TorchSUT)
        self.subject = Subject(NaiveNetworks(generator.network, sut.network, "global"), sut, max_queries)
        self.sources = make_sources(self.cfg, generator.num_classes)
        behind = (Source(0, z_seed) for z_seed in count(self.sources[-1].z_seed + 1))
        images = ((source, self._shown(source)) for source in behind)
        self.first, image = next((source, image) for source, image in images if not image.flipped)
        self.parts.engine.appraise([Appraisal(image, image)])

    def _shown(self, source: Source) -> Evaluation:
        return self.parts.engine.evaluate([Request(source, Proposal(1.0))])[0]

    @property
    def gates(self) -> str:
        """Of a valid fault."""
        return ", ".join(self.cfg.validity.gates)

    def contender(self, name: str) -> Contender:
        """A peer, or else the strategy of that name."""
        if name not in PEERS:
            cfg = configured(f"strategy={name}", *self.settings)
            return Contender(name, False, lambda sources: list(find_records(cfg, self._with(cfg), sources, 0)))
        peer = PEERS[name](self.cfg.dataset.name)
        return Contender(name, True, lambda sources: self._searched(name, peer, sources))

    def _searched(self, name: str, peer: Peer, sources: Sequence[Source]) -> list[BoundaryRecord]:
        engine = self.parts.engine
        context = replace(make_context(self.cfg, self.parts), strategy=name)
        found = search_all(peer, sources, self.subject, engine.appraise)
        return [to_record(search, context, stability_of(search, engine.measure)) for search in found]

    def _with(self, cfg: Config) -> Parts:
        """The same networks with an engine of their own, which remembers nothing, for another strategy."""
        mine, strategy = self.parts.engine, make_strategy(cfg.strategy, self.parts.generator)
        renderer = Renderer(self.parts.generator, "global", None, mine.renderer.chunk, strategy.mixed_layers)
        searched = (mine.sut, mine.appraise, mine.truncation, mine.gate, strategy, mine.limits)
        slopes = white_box(self.parts.generator, self.parts.sut) if strategy.needs_slopes else None
        engine = Engine(renderer, *searched, cfg.search.severity_steps, slopes)
        return replace(self.parts, renderer=renderer, engine=engine)
