"""Refuse a configuration that cannot work, before the expensive step."""

from latreg.config import Config, MixingConfig, SearchConfig
from latreg.errors import LatregError
from latreg.interfaces import CHOSEN_FROM, Z_SEEDS, Generator
from latreg.validity.similarity import WINDOW


def check_search(cfg: Config, generator: Generator) -> None:
    """Fail before the expensive step."""
    search = cfg.search
    if cfg.truncation.mode == "adaptive" and search.max_queries_per_source < len(cfg.truncation.grid):
        raise LatregError(
            f"search.max_queries_per_source must be at least {len(cfg.truncation.grid)}, what trying each psi of "
            f"truncation.grid may cost, got {search.max_queries_per_source}"
        )
    if isinstance(cfg.strategy, MixingConfig) and cfg.strategy.until == "robust" and not search.severity_steps:
        raise LatregError("strategy.until=robust needs search.severity_steps of at least 1, got 0")
    for label in search.classes or []:
        if label >= generator.num_classes:
            raise LatregError(f"search.classes must be within 0 .. {generator.num_classes - 1}, got {label}")
    if cfg.dataset.resolution < WINDOW:
        raise LatregError(
            f"dataset.resolution must be at least {WINDOW} for a search, which measures SSIM, got "
            f"{cfg.dataset.resolution}"
        )
    check_z_seeds(cfg)
    if search.uncertain_per_class:
        check_chosen(search, generator)


def check_z_seeds(cfg: Config) -> None:
    """Refuse sources whose z_seeds leave 0 .. 2^32, or are those of another run_seed."""
    search = cfg.search
    if search.first_z_seed > 2**32 - search.sources_per_class:
        raise LatregError(f"search.first_z_seed must be within 0 .. 2^32, got {search.first_z_seed}")
    if 0 < search.z_seed_stride < Z_SEEDS:
        raise LatregError(f"search.z_seed_stride must be 0 or at least {Z_SEEDS}, got {search.z_seed_stride}")
    if cfg.run_seed == 0 or search.z_seed_stride == 0:
        return
    largest = max(2**32 - Z_SEEDS - search.first_z_seed, 0) // search.z_seed_stride
    if cfg.run_seed > largest:
        raise LatregError(
            f"run_seed must be at most {largest} for a search, as sources are drawn from z_seeds below 2^32, "
            f"{search.z_seed_stride} for each run_seed, got {cfg.run_seed}"
        )


def check_budget(search: SearchConfig) -> None:
    """Refuse a budget of the whole run where it would not be kept.

    Raises:
        LatregError: it stands beside workers or a shard, each of which would spend it, or beside sources that are to
            be chosen, by queries that it does not count.
    """
    if search.max_queries is None:
        return
    if search.workers > 1:
        raise LatregError(f"search.max_queries needs search.workers=1, got {search.workers} workers")
    if search.shard is not None:
        raise LatregError(f"search.max_queries needs search.shard=null, got the shard {search.shard}")
    if search.uncertain_per_class:
        raise LatregError(
            f"search.max_queries needs search.uncertain_per_class=0, as it does not count the queries that choose, "
            f"got {search.uncertain_per_class}"
        )


def check_chosen(search: SearchConfig, generator: Generator) -> None:
    """Refuse to choose what cannot be told apart from what is drawn."""
    if not generator.conditional:
        raise LatregError("search.uncertain_per_class needs a generator that knows classes, got one that does not")
    for key, limit in (("sources_per_class", CHOSEN_FROM), ("first_z_seed", 2**31)):
        if getattr(search, key) > limit:
            raise LatregError(
                f"search.{key} must be at most {limit} with uncertain_per_class, got {getattr(search, key)}"
            )
