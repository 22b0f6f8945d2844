"""Refuse a configuration that cannot work, before the expensive step."""

from latreg.config import Config, SearchConfig
from latreg.errors import LatregError
from latreg.interfaces import CHOSEN_FROM, Generator


def check_search(cfg: Config, generator: Generator) -> None:
    """Fail before the expensive step."""
    search = cfg.search
    if cfg.truncation.mode == "adaptive" and search.max_queries_per_source < len(cfg.truncation.grid):
        raise LatregError(
            f"search.max_queries_per_source must be at least {len(cfg.truncation.grid)}, what trying each psi of "
            f"truncation.grid may cost, got {search.max_queries_per_source}"
        )
    for label in search.classes or []:
        if label >= generator.num_classes:
            raise LatregError(f"search.classes must be within 0 .. {generator.num_classes - 1}, got {label}")
    if search.first_z_seed > 2**32 - search.sources_per_class:
        raise LatregError(f"search.first_z_seed must be within 0 .. 2^32, got {search.first_z_seed}")
    if search.uncertain_per_class:
        check_chosen(search, generator)


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
