"""Each run_seed searches sources of its own."""

from itertools import pairwise

import pytest

from latreg.config import Config, SearchConfig, first_z_seed_of
from latreg.errors import LatregError
from latreg.interfaces import CHOSEN_FROM, Z_SEEDS, Source
from latreg.jobs.checks import check_z_seeds
from latreg.jobs.sources import make_sources


def config(run_seed, **search):
    return Config(run_seed=run_seed, search=SearchConfig(**search))


def test_run_seed_0_draws_what_it_always_drew():
    assert make_sources(config(0, sources_per_class=2), 2) == [Source(0, 0), Source(1, 0), Source(0, 1), Source(1, 1)]
    assert first_z_seed_of(config(0, first_z_seed=47)) == 47


def test_no_two_run_seeds_share_a_source_drawn_or_chosen():
    assert SearchConfig().z_seed_stride >= Z_SEEDS == 2 * CHOSEN_FROM
    begins = [first_z_seed_of(config(run_seed, first_z_seed=5)) for run_seed in range(127)]
    assert begins[:2] == [5, 5 + 2**25]
    assert all(later - earlier >= Z_SEEDS for earlier, later in pairwise(begins))


def test_a_stride_of_0_gives_every_run_seed_the_same_sources():
    same = {"sources_per_class": 3, "z_seed_stride": 0}
    assert make_sources(config(9, **same), 2) == make_sources(config(0, **same), 2)
    check_z_seeds(config(2**31, **same))


def test_the_last_run_seed_ends_at_the_last_z_seed():
    last = config(127)
    check_z_seeds(last)
    assert first_z_seed_of(last) + Z_SEEDS == 2**32


@pytest.mark.parametrize(
    ("run_seed", "search", "message"),
    [
        (128, {}, "run_seed must be at most 127 for a search, .* got 128$"),
        (127, {"first_z_seed": 1}, "run_seed must be at most 126 for a search, .* got 127$"),
        (1, {"first_z_seed": 2**32 - 20}, "run_seed must be at most 0 for a search"),
        (0, {"z_seed_stride": 2**24}, "search.z_seed_stride must be 0 or at least 33554432, got 16777216$"),
        (0, {"first_z_seed": 2**32}, r"search.first_z_seed must be within 0 .. 2\^32, got"),
    ],
)
def test_what_would_not_keep_runs_apart_is_refused(run_seed, search, message):
    with pytest.raises(LatregError, match=message):
        check_z_seeds(config(run_seed, **search))
