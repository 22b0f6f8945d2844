"""Refuse a configuration that cannot work, before the expensive step."""

from latreg.config import Config, SearchConfig
from latreg.errors import LatregError
from latreg.interfaces import CHOSEN_FROM, Generator
from latreg.search.truncation import check_psi


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
    check_strategy(cfg.strategy)


def check_strategy(strategy: object) -> None:
    """Refuse settings of a strategy, those that it has, which are out of range."""
    for key, low in (("partners", 1), ("top_k", 1), ("bisection_steps", 0)):
        if (value := getattr(strategy, key, low)) < low:
            raise LatregError(f"strategy.{key} must be at least {low}, got {value}")
    for psi in getattr(strategy, "psi_grid", []):
        check_psi("strategy.psi_grid", psi)
    if (until := getattr(strategy, "until", "valid")) not in ("flipped", "screened", "valid"):
        raise LatregError(f"strategy.until must be flipped, screened or valid, got {until!r}")
    if (finder := getattr(strategy, "root_finder", "itp")) not in ("bisection", "itp"):
        raise LatregError(f"strategy.root_finder must be bisection or itp, got {finder!r}")


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
    if search.uncertain_per_class < 0:
        raise LatregError(f"search.uncertain_per_class must be at least 0, got {search.uncertain_per_class}")
    if not generator.conditional:
        raise LatregError("search.uncertain_per_class needs a generator that knows classes, got one that does not")
    for key, limit in (("sources_per_class", CHOSEN_FROM), ("first_z_seed", 2**31)):
        if getattr(search, key) > limit:
            raise LatregError(
                f"search.{key} must be at most {limit} with uncertain_per_class, got {getattr(search, key)}"
            )
