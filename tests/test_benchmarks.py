"""The naive loop of `make bench` and the engine find the same, on networks small enough for every test run."""

import time

from benchmarks.contest import Workload, contest
from latreg.search.mixing import Mixing
from tests.helpers.small_case import make_case


def test_both_find_the_same() -> None:
    strategy = Mixing([[5], [4], [2, 3, 4, 5]], 10, 1, targeted=False, bisection_steps=10, until="screened", run_seed=0)
    row = contest(make_case(), Workload("mixing", strategy, "class", sources=6, max_queries=30), time.process_time)
    assert row["agree"]
    assert row["disagreements"] == 0
    assert row["flips"] > 0
    assert row["ratio"] > 0
