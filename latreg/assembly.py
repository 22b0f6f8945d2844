"""Builds the parts of a search from its configuration, and refuses a configuration that cannot work."""

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from hydra.utils import instantiate

from latreg.classifier.adapters import load_classifier
from latreg.classifier.sut import TorchSUT, load_sut
from latreg.config import (
    Config,
    MixingConfig,
    OwnGeneratorConfig,
    SearchConfig,
    StrategyConfig,
    TruncationConfig,
)
from latreg.errors import LatregError
from latreg.generator.own import load_own_generator
from latreg.generator.pretrained import load_generator
from latreg.interfaces import SUT, Generator, Source, Strategy
from latreg.search.choosing import CHOSEN_FROM, choose_uncertain
from latreg.search.criteria import BaselineGate
from latreg.search.engine import Engine, Limits
from latreg.search.labelling import label_sources
from latreg.search.renderer import Renderer
from latreg.search.reuse import LayerwiseGenerator, memory_bytes
from latreg.search.truncation import Fixed, Minimal, Salvage, Truncation
from latreg.validity.gates import Gates
from latreg.validity.judge import Judge
from latreg.validity.perceptual import PerceptualDistance
from latreg.validity.vae import ValidityModel, load_validity_model
from latreg.weights import read_card, resolve

log = logging.getLogger(__name__)

PSI_RANGE = (0.0, 2.0)
CHUNK = {"cpu": 16, "cuda": 512}  # images per forward pass: on a CPU every larger temporary is a page fault
CPU_CHUNKS = (8, 32)  # fewer are slowed down by overhead, more by the memory
STATES_PER_SOURCE = 3  # of each layer: the source's, and some of mixtures
CPU_MAP = 2**20  # floats of a feature map that suit the caches of a CPU

_CHOSEN: dict[Hashable, list[Source]] = {}  # what the jobs of a multirun in one process need not choose again


@dataclass(frozen=True)
class Parts:
    """What a search and its replay need."""

    generator: Generator
    sut: SUT
    judge: Judge | None
    vae: ValidityModel | None
    renderer: Renderer
    engine: Engine

    @property
    def ids(self) -> dict[str, str | None]:
        """What identifies each network's weights, None where there is none."""
        return {
            "generator": self.generator.id,
            "sut": self.sut.id,
            "judge": self.judge.id if self.judge else None,
            "vae": self.vae.id if self.vae else None,
        }


def assemble(cfg: Config) -> Parts:
    """Load all networks and build the engine.

    Raises:
        LatregError: weights are missing or do not fit, or a setting is out of its range.
    """
    truncation = make_truncation(cfg.truncation)
    device = make_device(cfg.device)
    generator = make_generator(cfg, device)
    check_search(cfg, generator)
    strategy: Strategy = instantiate(with_all_layers(cfg.strategy, generator.num_ws), _convert_="all")
    sut = load_classifier(cfg.classifier, cfg.dataset, device)
    judge, vae = load_judge(cfg, device), load_vae(cfg, device)
    if judge and sut.id in (member.id for member in judge.members):
        raise LatregError(f"validity.judge must not contain the SUT itself, got {cfg.classifier.weights} in both")
    check_guides(guides_of(cfg), judge.members if judge else [], sut)
    chunk = cfg.search.chunk or suitable_chunk(generator)
    renderer = Renderer(generator, cfg.truncation.center, cfg.truncation.cutoff, chunk, strategy.layer_sets)
    engine = Engine(
        renderer,
        sut,
        Gates(cfg.validity, judge, vae, load_lpips(cfg, device)).appraise,
        truncation,
        make_gate(cfg.search),
        strategy,
        Limits(
            cfg.search.max_queries,
            cfg.search.max_queries_per_source,
            suitable_concurrency(generator, cfg.search.concurrency),
        ),
    )
    return Parts(generator, sut, judge, vae, renderer, engine)


def make_generator(cfg: Config, device: torch.device) -> Generator:
    """The generator that the configuration names: a StyleGAN2 of a weights file, or one's own."""
    if isinstance(cfg.generator, OwnGeneratorConfig):
        return load_own_generator(cfg.generator, cfg.dataset, device)
    return load_generator(cfg.generator, cfg.dataset, device)


def with_all_layers(strategy: StrategyConfig, num_ws: int) -> StrategyConfig:
    """The same, but with all layers of the generator in the place of empty sets of layers."""
    if not isinstance(strategy, MixingConfig):
        return strategy
    return replace(strategy, layer_sets=[layers or list(range(num_ws)) for layers in strategy.layer_sets])


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


def load_judge(cfg: Config, device: torch.device) -> Judge | None:
    """The ensemble that `validity.judge` names, if it names any."""
    if not cfg.validity.judge:
        return None
    return Judge(load_judge_members(cfg, device), cfg.validity.judge_batch, mirror=cfg.dataset.mirror)


def load_judge_members(cfg: Config, device: str | torch.device = "cpu") -> list[TorchSUT]:
    """The classifiers that `validity.judge` names."""
    return [load_sut(name, cfg.dataset, device, key="validity.judge") for name in cfg.validity.judge]


def guides_of(cfg: Config) -> list[dict[str, str]]:
    """Name and sha256 of the classifiers that guided the generator's training, as far as its card tells."""
    if isinstance(cfg.generator, OwnGeneratorConfig):
        return []
    guides: list[dict[str, str]] = read_card(resolve(cfg.generator.weights, "generator.weights")).get("guides", [])
    return guides


def check_guides(guides: Sequence[Mapping[str, str]], judge: Sequence[SUT], sut: SUT | None = None) -> None:
    """Refuse to judge a generator, or to test, by what it was taught to please.

    Raises:
        LatregError: a member of the judge or the SUT is one of the guides of its training.
    """
    names = {guide["sha256"]: guide["name"] for guide in guides}
    for member in judge:
        if member.id in names:
            name = names[member.id]
            raise LatregError(f"validity.judge must not contain a guide of the generator's training, got {name}")
    if sut and sut.id in names:
        raise LatregError(f"the SUT must not be a guide of the generator's training, got {names[sut.id]}")


def load_vae(cfg: Config, device: torch.device) -> ValidityModel | None:
    """The model that `validity.vae` names, if it names one."""
    name, validity = cfg.validity.vae, cfg.validity
    if name is None:
        return None
    return load_validity_model(name, cfg.dataset, validity.quantile, device, validity.judge_batch)


def load_lpips(cfg: Config, device: torch.device) -> PerceptualDistance | None:
    """The distance that `validity.lpips` names, if it names one."""
    validity = cfg.validity
    return PerceptualDistance(validity.lpips, device, validity.judge_batch) if validity.lpips else None


def make_device(name: str) -> torch.device:
    """`auto` is the first GPU where there is one, else the CPU.

    Convolutions in float32 are float32 from then on. On recent GPUs they would else be in TF32, whose 10 bits of
    mantissa make other images, and some faults none, on the machine that verifies them.
    """
    torch.backends.cudnn.allow_tf32 = False
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


def make_truncation(config: TruncationConfig) -> Truncation:
    """none, fixed or adaptive."""
    if config.mode != "fixed" and config.psi != 1:
        log.warning("truncation.psi=%g has no effect with truncation.mode=%s, only with fixed", config.psi, config.mode)
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


def check_search(cfg: Config, generator: Generator) -> None:
    """Fail before the expensive step."""
    search = cfg.search
    for key in ("sources_per_class", "max_queries_per_source", "concurrency", "part_size", "workers", "chunk"):
        if (value := getattr(search, key)) is not None and value < 1:
            raise LatregError(f"search.{key} must be at least 1, got {value}")
    if cfg.run_seed < 0:
        raise LatregError(f"run_seed must be at least 0, got {cfg.run_seed}")
    if cfg.truncation.mode == "adaptive" and search.max_queries_per_source < len(cfg.truncation.grid):
        raise LatregError(
            f"search.max_queries_per_source must be at least {len(cfg.truncation.grid)}, what trying each psi of "
            f"truncation.grid may cost, got {search.max_queries_per_source}"
        )
    if search.classes is not None and not 0 < len(search.classes) == len(set(search.classes)):
        raise LatregError(f"search.classes must name one or more classes, each once, got {search.classes}")
    if search.max_queries is not None and search.max_queries < 1:
        raise LatregError(f"search.max_queries must be at least 1, got {search.max_queries}")
    for key, low in (("min_confidence", 0), ("min_margin", -1)):
        if not low <= getattr(search, key) <= 1:
            raise LatregError(f"search.{key} must be within {low} .. 1, got {getattr(search, key)}")
    for label in search.classes or []:
        if not 0 <= label < generator.num_classes:
            raise LatregError(f"search.classes must be within 0 .. {generator.num_classes - 1}, got {label}")
    if not 0 <= search.first_z_seed <= 2**32 - search.sources_per_class:
        raise LatregError(f"search.first_z_seed must be within 0 .. 2^32, got {search.first_z_seed}")
    if search.uncertain_per_class:
        check_chosen(search, generator)
    check_strategy(cfg.strategy, generator.num_ws)


def check_strategy(strategy: object, num_ws: int) -> None:
    """Refuse settings of a strategy, those that it has, which are out of range."""
    for key, low in (("partners", 1), ("top_k", 1), ("bisection_steps", 0)):
        if (value := getattr(strategy, key, low)) < low:
            raise LatregError(f"strategy.{key} must be at least {low}, got {value}")
    for psi in getattr(strategy, "psi_grid", []):
        check_psi("strategy.psi_grid", psi)
    for layer in (layer for layers in getattr(strategy, "layer_sets", []) for layer in layers):
        if not 0 <= layer < num_ws:
            raise LatregError(f"strategy.layer_sets must name layers 0 .. {num_ws - 1}, got {layer}")
    if (until := getattr(strategy, "until", "valid")) not in ("flipped", "screened", "valid"):
        raise LatregError(f"strategy.until must be flipped, screened or valid, got {until!r}")
    if (finder := getattr(strategy, "root_finder", "itp")) not in ("bisection", "itp"):
        raise LatregError(f"strategy.root_finder must be bisection or itp, got {finder!r}")


def check_chosen(search: SearchConfig, generator: Generator) -> None:
    """Refuse to choose what cannot be told apart from what is drawn."""
    if search.uncertain_per_class < 0:
        raise LatregError(f"search.uncertain_per_class must be at least 0, got {search.uncertain_per_class}")
    if not generator.conditional:
        raise LatregError("search.uncertain_per_class needs a generator that knows classes, got one that does not")
    for key, limit in (("sources_per_class", CHOSEN_FROM), ("first_z_seed", 2**31)):
        if getattr(search, key) > limit:
            raise LatregError(
                f"search.{key} must be at most {limit} with uncertain_per_class, got {getattr(search, key)}"
            )


def find_sources(cfg: Config, parts: Parts) -> list[Source]:
    """Those that the configuration asks for; the judge names their classes where the generator knows none."""
    search, generator = cfg.search, parts.generator
    if generator.conditional:
        return make_sources(search, generator.num_classes) + chosen_sources(cfg, parts)
    psi = cfg.truncation.psi if cfg.truncation.mode == "fixed" else 1.0
    classes = list(range(generator.num_classes)) if search.classes is None else search.classes
    sure = cfg.validity.min_judge_confidence
    return label_sources(
        parts.renderer, parts.judge or parts.sut, classes, search.sources_per_class, search.first_z_seed, psi, sure
    )


def chosen_sources(cfg: Config, parts: Parts) -> list[Source]:
    """The uncertain sources that are searched beside those that are drawn."""
    search = cfg.search
    if not search.uncertain_per_class:
        return []
    classes = tuple(range(parts.generator.num_classes) if search.classes is None else search.classes)
    gate = BaselineGate(search.min_confidence, search.min_margin)
    wanted = (gate, classes, search.uncertain_per_class, search.first_z_seed, search.confident_below)
    settings = repr((cfg.dataset, cfg.generator, cfg.classifier, cfg.device))  # an id is that of weights alone
    key = (parts.generator.id, parts.sut.id, settings, wanted)
    if key not in _CHOSEN:
        _CHOSEN[key] = choose_uncertain(parts.engine.evaluate, *wanted)
    return _CHOSEN[key]


def make_sources(search: SearchConfig, num_classes: int) -> list[Source]:
    """Every class with every z_seed; classes take turns, so that a budget cuts them evenly."""
    classes = range(num_classes) if search.classes is None else search.classes
    seeds = range(search.first_z_seed, search.first_z_seed + search.sources_per_class)
    return [Source(label, z_seed) for z_seed, label in product(seeds, classes)]
