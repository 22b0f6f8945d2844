"""The records of a run do not depend on how it was cut up: property tests on linear toys."""

import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latreg.errors import LatregError
from latreg.interfaces import Source
from latreg.jobs.assembly import Parts
from latreg.jobs.search import read_in_order, searched_records
from latreg.jobs.sources import make_sources, shard_of
from latreg.runs import records
from latreg.runs.folder import RunFolder
from latreg.search.criteria import BaselineGate
from latreg.search.engine import Engine, Limits
from latreg.search.mixing import Mixing
from latreg.search.random import RandomTruncation
from latreg.search.renderer import Renderer
from latreg.search.sampling import Sampling
from latreg.search.truncation import Fixed
from tests.helpers.same_records import assert_same
from tests.helpers.toys import LinearGenerator, LinearSUT, ScriptedAppraiser

STRATEGIES = {
    "random": RandomTruncation((0.8, 0.6, 0.4, 0.2, 0.0), bisection_steps=6),
    "mixing": Mixing(((7,), tuple(range(8))), 3, 2, True, 6, "screened", run_seed=0),
    "sampling": Sampling(),
    "short": RandomTruncation((0.5, 0.0), bisection_steps=2),
}
GENERATOR = LinearGenerator()


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@dataclass(frozen=True)
class Setup:
    """What may not make a difference, and the budget, which may."""

    strategy: str = "mixing"
    budget: int | None = None
    chunk: int = 16
    concurrency: int = 200
    part_size: int = 100
    shard: str | None = None


def toy_parts(setup):
    sut = LinearSUT(GENERATOR)
    renderer = Renderer(GENERATOR, "global", None, setup.chunk)
    limits = Limits(setup.budget, 40, setup.concurrency)
    strategy = STRATEGIES[setup.strategy]
    engine = Engine(renderer, sut, ScriptedAppraiser(), Fixed(1.0), BaselineGate(), strategy, limits, severity_steps=3)
    return Parts(
        GENERATOR, sut, SimpleNamespace(id="judge"), None, None, None, renderer, engine, ScriptedAppraiser.columns
    )


def toy_config(setup):
    search = SimpleNamespace(
        sources_per_class=8,
        classes=None,
        first_z_seed=0,
        z_seed_stride=0,
        part_size=setup.part_size,
        workers=1,
        max_queries=setup.budget,
        shard=setup.shard,
        confident_below=0.01,
    )
    truncation = SimpleNamespace(mode="none", center="global", cutoff=None)
    names = {
        "dataset": SimpleNamespace(name="toy", class_names=["a", "b", "c"]),
        "strategy": SimpleNamespace(name=setup.strategy),
    }
    validity = SimpleNamespace(stability=True)
    return SimpleNamespace(run_seed=0, search=search, truncation=truncation, validity=validity, **names)


def search(run_dir, setup, stop_after=None):
    """One process of a run, stopped by a signal after some records; None = not stopped."""
    cfg = toy_config(setup)
    saved = records.recover_records(run_dir)
    sources = shard_of(make_sources(cfg, GENERATOR.num_classes), setup.shard)
    searched = searched_records(cfg, RunFolder(run_dir), toy_parts(setup), sources, saved)
    count = 0
    for count, _ in enumerate(searched, 1):
        if count == stop_after:
            searched.close()
            return None
    return list(records.with_pairs(run_dir, read_in_order(run_dir, sources, len(saved) + count)))


@cache
def reference(strategy, budget):
    """The records of a run in one go, one image at a time."""
    with tempfile.TemporaryDirectory() as folder:
        return search(Path(folder), Setup(strategy, budget, chunk=1, concurrency=1))


def kill(run_dir, part_size):
    """What kill -9 leaves of a run that was stopped: complete parts, and a file that was being written."""
    last = records.part_paths(run_dir)[-1]
    if len(records.read_part(last)) < part_size:
        last.rename(last.with_name(f".{last.name}.tmp"))


ways = st.builds(
    Setup,
    strategy=st.sampled_from(sorted(STRATEGIES)),
    budget=st.sampled_from([None, None, 0, 60, 200]),
    chunk=st.sampled_from([1, 5, 64]),
    concurrency=st.sampled_from([1, 4, 200]),
    part_size=st.integers(1, 10),
)


@settings(deadline=None, max_examples=25)
@given(setup=ways, stops=st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=4), damaged=st.integers(0, 30))
def test_an_interrupted_run_ends_with_the_records_of_an_uninterrupted_one(setup, stops, damaged):
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder)
        for stop_after, killed in stops:
            search(run_dir, setup, stop_after)
            if killed:
                kill(run_dir, setup.part_size)
        if damaged < len(paths := records.part_paths(run_dir)):
            paths[damaged].write_bytes(paths[damaged].read_bytes()[:-1])
        assert_same(search(run_dir, setup), reference(setup.strategy, setup.budget))
        assert_same(search(run_dir, setup), reference(setup.strategy, setup.budget))  # nothing is left to do


@settings(deadline=None, max_examples=10)
@given(setup=ways, shards=st.integers(1, 5))
def test_shards_have_the_records_of_one_run(setup, shards):
    parts = []
    for k in range(1, shards + 1):
        with tempfile.TemporaryDirectory() as folder:
            parts.append(search(Path(folder), Setup(**{**vars(setup), "budget": None, "shard": f"{k}/{shards}"})))
    joined = sorted((record for part in parts for record in part), key=lambda record: (record.z_seed, record.label))
    assert_same(joined, reference(setup.strategy, None))


@pytest.mark.parametrize("shard", ["", "1", "0/3", "4/3", "1/0", "1/2/3", "a/b", "-1/3", "1.5/3"])
def test_a_shard_that_is_none_is_refused(shard):
    with pytest.raises(LatregError, match=r"search\.shard must be k/n with k = 1 \.\. n"):
        shard_of([Source(0, 0)], shard)


def test_more_shards_than_sources_leave_some_empty(tmp_path):
    assert search(tmp_path, Setup(shard="25/25")) == []
    assert len(records.part_paths(tmp_path)) == 1


def test_two_thousand_sources_are_never_more_than_a_hundred_at_a_time():
    """Sources are taken as there is room for them, so memory does not grow with their number."""
    taken = most = 0

    def sources():
        nonlocal taken
        for taken in range(1, 2_001):
            yield Source(taken % 3, taken)

    engine = toy_parts(Setup("short", concurrency=25, chunk=25)).engine
    for number, _ in enumerate(engine.run(sources())):
        most = max(most, taken - number)
    assert taken == 2_000
    assert most <= 100


def test_records_of_another_process_are_noticed(tmp_path):
    found = search(tmp_path, Setup())
    records.write_part(tmp_path, 1, found[:1], ScriptedAppraiser.columns)
    sources = [records.source_of(record) for record in found]
    with pytest.raises(LatregError, match=r"expected 24 records in .*, got 25: another process"):
        read_in_order(tmp_path, sources, len(found))
    assert_same(search(tmp_path, Setup()), found)
