"""Builds the parts of a search from its configuration."""

from dataclasses import dataclass

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from latreg.classifier.adapters import AdaptedSUT, load_classifier
from latreg.classifier.adapters.importing import imported
from latreg.classifier.sut import TorchSUT
from latreg.compute.device import CHUNK, make_device
from latreg.config import Config, OwnGeneratorConfig, OwnStrategyConfig, SearchConfig, StrategyConfig
from latreg.errors import LatregError, reason
from latreg.generator.own import load_own_generator
from latreg.generator.pretrained import StyleGAN2, load_generator
from latreg.interfaces import SUT, Columns, Generator, Strategy
from latreg.jobs.checks import check_search
from latreg.search.criteria import BaselineGate
from latreg.search.engine import Engine, Limits
from latreg.search.renderer import Renderer
from latreg.search.reuse import LayerwiseGenerator, memory_bytes
from latreg.search.slopes import WhiteBox
from latreg.search.truncation import make_truncation
from latreg.validity.density import ClassDensity
from latreg.validity.gates import Gates
from latreg.validity.judge import Judge
from latreg.validity.loading import (
    check_guides,
    guides_of,
    load_class_density,
    load_held_out,
    load_judge,
    load_lpips,
    load_vae,
)
from latreg.validity.vae import ValidityModel

CPU_CHUNKS = (8, 32)  # images per forward pass: fewer are slowed down by overhead, more by the memory
STATES_PER_SOURCE = 3  # of each layer: the source's, and some of mixtures
CPU_MAP = 2**20  # floats of a feature map that suit the caches of a CPU


@dataclass(frozen=True)
class Parts:
    """What a search and its replay need."""

    generator: Generator
    sut: SUT
    judge: Judge | None
    vae: ValidityModel | None
    density: ClassDensity | None
    held_out: Judge | None
    renderer: Renderer
    engine: Engine
    measured: Columns  # what the gates measure

    @property
    def ids(self) -> dict[str, str | None]:
        """What identifies each network's weights, None where there is none."""
        return {
            "generator": self.generator.id,
            "sut": self.sut.id,
            "judge": self.judge.id if self.judge else None,
            "vae": self.vae.id if self.vae else None,
            "density": self.density.id if self.density else None,
            "held_out": self.held_out.id if self.held_out else None,
        }

    @property
    def classifier_files(self) -> dict[str, str]:
        """Name and sha256 of what the id of a classifier made elsewhere is made of, {} for one of latreg's."""
        return self.sut.files if isinstance(self.sut, AdaptedSUT) else {}


def assemble(cfg: Config) -> Parts:
    """Load all networks and build the engine.

    Raises:
        LatregError: weights are missing or do not fit, or a setting is out of its range.
    """
    asked = cfg.truncation
    truncation = make_truncation(asked.mode, asked.psi, asked.direction, asked.grid)
    device = make_device(cfg.device)
    generator = make_generator(cfg, device)
    check_search(cfg, generator)
    strategy = make_strategy(cfg.strategy, generator)
    sut = load_classifier(cfg.classifier, cfg.dataset, device)
    judge, held_out = load_judge(cfg, device), load_held_out(cfg, device)
    vae, density = load_vae(cfg, device), load_class_density(cfg, device)
    judges = [member for ensemble in (judge, held_out) if ensemble for member in ensemble.members]
    if sut.id in (member.id for member in judges):
        raise LatregError(f"validity.judge must not contain the SUT itself, got {cfg.classifier.weights} in both")
    check_guides(guides_of(cfg), judges, sut)
    chunk = cfg.search.chunk or suitable_chunk(generator)
    renderer = Renderer(generator, cfg.truncation.center, cfg.truncation.cutoff, chunk, strategy.mixed_layers)
    gates = Gates(cfg.validity, judge, vae, density, load_lpips(cfg, device), held_out)
    engine = Engine(
        renderer,
        sut,
        gates.appraise,
        truncation,
        make_gate(cfg.search),
        strategy,
        Limits(
            cfg.search.max_queries,
            cfg.search.max_queries_per_source,
            suitable_concurrency(generator, cfg.search.concurrency),
        ),
        cfg.search.severity_steps,
        white_box(generator, sut) if strategy.needs_slopes else None,
    )
    return Parts(generator, sut, judge, vae, density, held_out, renderer, engine, gates.columns)


def make_generator(cfg: Config, device: torch.device) -> Generator:
    """The generator that the configuration names: a StyleGAN2 of a weights file, or one's own."""
    if isinstance(cfg.generator, OwnGeneratorConfig):
        return load_own_generator(cfg.generator, cfg.dataset, device)
    return load_generator(cfg.generator, cfg.dataset, device)


def make_strategy(cfg: StrategyConfig, generator: Generator) -> Strategy:
    """The strategy that the configuration names, as it is run with a generator."""
    if isinstance(cfg, OwnStrategyConfig):
        return make_own_strategy(cfg).prepared(generator.num_ws, generator.z_dim)
    try:
        strategy: Strategy = instantiate(cfg, _convert_="all")
    except InstantiationException as error:
        raise LatregError(
            f"strategy._target_ must be a strategy that takes the settings beside it: {reason(error)}"
        ) from error
    return strategy.prepared(generator.num_ws, generator.z_dim)


def make_own_strategy(cfg: OwnStrategyConfig) -> Strategy:
    """A strategy from outside of latreg, by its import path.

    Raises:
        LatregError: it cannot be imported or made so, or is no strategy.
    """
    target = imported("strategy._target_", cfg._target_)
    try:
        strategy: Strategy = target(**cfg.args)
    except Exception as error:  # code of somebody else's may raise anything
        raise LatregError(f"{cfg._target_} must take strategy.args, {cfg.args}, but: {reason(error)}") from error
    if Strategy not in type(strategy).__mro__:
        raise LatregError(
            f"strategy._target_ must make what derives from latreg.interfaces.Strategy, got {type(strategy).__name__}"
        )
    return strategy


def white_box(generator: Generator, sut: SUT) -> WhiteBox:
    """What differentiates the two.

    Raises:
        LatregError: one of them was made elsewhere, so that nothing is known of its inside.
    """
    if not isinstance(generator, StyleGAN2) or not isinstance(sut, TorchSUT):
        raise LatregError("strategy=gradient sees into the networks: it needs a generator and a classifier of latreg")
    synthesis = generator.network.synthesis
    return WhiteBox(lambda w: synthesis(w) * 0.5 + 0.5, sut.network)


def suitable_chunk(generator: Generator) -> int:
    """Images per forward pass: hundreds fill a GPU, a CPU is faster with what its caches hold."""
    device = generator.w_avg.device.type
    if device != "cpu" or not isinstance(generator, LayerwiseGenerator):
        return CHUNK[device]
    low, high = CPU_CHUNKS
    return min(max(CPU_MAP // max(generator.map_sizes), low), high)


def suitable_concurrency(generator: Generator, wanted: int) -> int:
    """Sources searched side by side: as many as wanted, but no more than those whose states can be remembered."""
    if not isinstance(generator, LayerwiseGenerator):
        return wanted
    per_source = STATES_PER_SOURCE * sum(generator.map_sizes) * generator.w_avg.element_size()
    return min(wanted, max(memory_bytes(generator.w_avg.device) // per_source, 1))


def make_gate(search: SearchConfig) -> BaselineGate:
    """Which sources are accepted, and which of them are searched."""
    min_second = search.confident_below if search.uncertain_only else 0.0
    return BaselineGate(search.min_confidence, search.min_margin, min_second)
