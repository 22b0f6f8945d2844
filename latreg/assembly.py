"""Builds the parts of a search from its configuration, and refuses a configuration that cannot work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from hydra.utils import instantiate

from latreg.classifier.sut import TorchSUT, load_sut
from latreg.config import Config, DatasetConfig, SearchConfig, TruncationConfig
from latreg.data import DataModule
from latreg.errors import LatregError
from latreg.generator.pretrained import StyleGAN2, load_generator
from latreg.interfaces import Source, Strategy
from latreg.search.criteria import BaselineGate
from latreg.search.engine import Engine, Limits
from latreg.search.renderer import Renderer
from latreg.search.reuse import memory_bytes
from latreg.search.truncation import Fixed, Minimal, Salvage, Truncation
from latreg.validity.gates import Gates
from latreg.validity.judge import Judge

PSI_RANGE = (0.0, 2.0)
CHUNK = {"cpu": 16, "cuda": 512}  # images per forward pass: on a CPU every larger temporary is a page fault
CPU_CHUNKS = (8, 32)  # fewer are slowed down by overhead, more by the memory
STATES_PER_SOURCE = 3  # of each layer: the source's, and some of mixtures
CPU_MAP = 2**20  # floats of a feature map that suit the caches of a CPU


@dataclass(frozen=True)
class Parts:
    """What a search and its replay need."""

    generator: StyleGAN2
    sut: TorchSUT
    judge: Judge
    renderer: Renderer
    engine: Engine


def assemble(cfg: Config) -> Parts:
    """Load all networks and build the engine.

    Raises:
        LatregError: weights are missing or do not fit, or a setting is out of its range.
    """
    truncation = make_truncation(cfg.truncation)
    strategy: Strategy = instantiate(cfg.strategy, _convert_="all")
    device = make_device(cfg.device)
    generator = load_generator(cfg.generator, cfg.dataset, device)
    check_search(cfg, generator)
    sut = load_sut(cfg.classifier.weights, cfg.dataset, device)
    judge = load_judge(cfg, device)
    if sut.id in (member.id for member in judge.members):
        raise LatregError(f"validity.judge must not contain the SUT itself, got {cfg.classifier.weights} in both")
    chunk = cfg.search.chunk or suitable_chunk(generator)
    renderer = Renderer(generator, cfg.truncation.center, cfg.truncation.cutoff, chunk)
    engine = Engine(
        renderer,
        sut,
        Gates(cfg.validity, judge).appraise,
        truncation,
        make_gate(cfg.search),
        strategy,
        Limits(
            cfg.search.max_queries,
            cfg.search.max_queries_per_source,
            suitable_concurrency(generator, cfg.search.concurrency),
        ),
    )
    return Parts(generator, sut, judge, renderer, engine)


def suitable_chunk(generator: StyleGAN2) -> int:
    """Images per forward pass: hundreds fill a GPU, a CPU is faster with what its caches hold."""
    device = generator.w_avg.device.type
    if device != "cpu":
        return CHUNK[device]
    low, high = CPU_CHUNKS
    return min(max(CPU_MAP // max(generator.map_sizes), low), high)


def suitable_concurrency(generator: StyleGAN2, wanted: int) -> int:
    """Sources searched side by side: as many as wanted, but no more than those whose states can be remembered."""
    per_source = STATES_PER_SOURCE * sum(generator.map_sizes) * generator.w_avg.element_size()
    return min(wanted, max(memory_bytes(generator.w_avg.device) // per_source, 1))


def make_gate(search: SearchConfig) -> BaselineGate:
    """Which sources are accepted, and which of them are searched."""
    min_second = search.confident_below if search.uncertain_only else 0.0
    return BaselineGate(search.min_confidence, search.min_margin, min_second)


def load_judge(cfg: Config, device: torch.device) -> Judge:
    """The ensemble that `validity.judge` names."""
    members = [load_sut(member, cfg.dataset, device) for member in cfg.validity.judge]
    return Judge(members, cfg.validity.judge_batch)


def make_device(name: str) -> torch.device:
    """`auto` is the first GPU where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise LatregError(f"device must be auto, cpu, cuda or cuda:<n>, got {name!r}") from error
    if device.type not in CHUNK:
        raise LatregError(f"device must be auto, cpu, cuda or cuda:<n>, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise LatregError(f"device {name!r} does not exist: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def make_data(dataset: DatasetConfig, run_seed: int) -> DataModule:
    """The data set with its splits; a training sets the size of its batches."""
    return DataModule(
        dataset.hub, dataset.folder, dataset.channels, dataset.resolution, dataset.validation_size, run_seed=run_seed
    )


def make_truncation(config: TruncationConfig) -> Truncation:
    """none, fixed or adaptive."""
    if config.mode == "none":
        return Fixed(1.0)
    if config.mode == "fixed":
        check_psi("truncation.psi", config.psi)
        return Fixed(config.psi)
    if config.mode != "adaptive":
        raise LatregError(f"truncation.mode must be none, fixed or adaptive, got {config.mode!r}")
    if not config.grid:
        raise LatregError("truncation.grid must hold at least one psi, got none")
    for psi in config.grid:
        check_psi("truncation.grid", psi)
    directions: dict[str, Callable[[Sequence[float]], Truncation]] = {"salvage": Salvage, "minimal": Minimal}
    if config.direction not in directions:
        raise LatregError(f"truncation.direction must be salvage or minimal, got {config.direction!r}")
    return directions[config.direction](tuple(sorted(config.grid, reverse=True)))


def check_psi(key: str, psi: float) -> None:
    """Refuse a psi outside PSI_RANGE."""
    low, high = PSI_RANGE
    if not low <= psi <= high:
        raise LatregError(f"{key} must be within {low:g} .. {high:g}, got {psi:g}")


def check_search(cfg: Config, generator: StyleGAN2) -> None:
    """Fail before the expensive step."""
    search = cfg.search
    for key in ("sources_per_class", "max_queries_per_source", "concurrency", "part_size", "workers"):
        if getattr(search, key) < 1:
            raise LatregError(f"search.{key} must be at least 1, got {getattr(search, key)}")
    for label in search.classes or []:
        if not 0 <= label < generator.num_classes:
            raise LatregError(f"search.classes must be within 0 .. {generator.num_classes - 1}, got {label}")
    if not 0 <= search.first_z_seed <= 2**32 - search.sources_per_class:
        raise LatregError(f"search.first_z_seed must be within 0 .. 2^32, got {search.first_z_seed}")
    for psi in getattr(cfg.strategy, "psi_grid", []):
        check_psi("strategy.psi_grid", psi)
    for layer in (layer for layers in getattr(cfg.strategy, "layer_sets", []) for layer in layers):
        if not 0 <= layer < generator.num_ws:
            raise LatregError(f"strategy.layer_sets must name layers 0 .. {generator.num_ws - 1}, got {layer}")
    if (until := getattr(cfg.strategy, "until", "valid")) not in ("flipped", "screened", "valid"):
        raise LatregError(f"strategy.until must be flipped, screened or valid, got {until!r}")


def make_sources(search: SearchConfig, num_classes: int) -> list[Source]:
    """Every class with every z_seed; classes take turns, so that a budget cuts them evenly."""
    classes = range(num_classes) if search.classes is None else search.classes
    seeds = range(search.first_z_seed, search.first_z_seed + search.sources_per_class)
    return [Source(label, z_seed) for z_seed, label in product(seeds, classes)]
