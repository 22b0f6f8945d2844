"""The engine against the naive loop on one case, interleaved."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.cases import Case, screen
from benchmarks.measure import Clock
from benchmarks.naive import NaiveNetworks, NaiveSearch
from latreg.interfaces import Strategy
from latreg.search.criteria import BaselineGate
from latreg.search.engine import Engine, Limits, SourceSearch
from latreg.search.renderer import Renderer
from latreg.search.truncation import Fixed

BRACKET = 2**-10  # how far apart two correct implementations may end
ROUNDS = 3


@dataclass
class Tally:
    """Queries and seconds of one contender."""

    queries: int = 0
    seconds: float = 0.0
    found: list[SourceSearch] = field(default_factory=list)

    def add(self, found: Sequence[SourceSearch], seconds: float) -> None:
        self.found = [*self.found, *found]
        self.queries += sum(search.queries for search in found)
        self.seconds += seconds

    @property
    def rate(self) -> float:
        return self.queries / self.seconds


@dataclass(frozen=True)
class Workload:
    """A strategy, what it truncates towards, and how much of it.

    Args:
        sources: how many of the case's.
        max_queries: for each of them.
    """

    name: str
    strategy: Strategy
    center: str
    sources: int
    max_queries: int


def contest(case: Case, workload: Workload, clock: Clock) -> dict[str, Any]:
    """One row of the table: the naive loop takes its sources in parts, after each of which the engine takes all."""
    sources = case.sources[: workload.sources]
    naive, engine = Tally(), Tally()
    for part in range(ROUNDS):
        started = clock()
        naive.add(list(make_naive(case, workload).run(sources[part::ROUNDS])), clock() - started)
        started = clock()
        found = list(make_engine(case, workload).run(sources))
        engine.add(found, clock() - started)
    pairs = match(naive.found, engine.found)
    return {
        "case": case.name,
        "workload": workload.name,
        "sources": len(sources),
        "queries": naive.queries,
        "flips": sum(search.pair is not None for search in naive.found),
        "naive_per_second": naive.rate,
        "engine_per_second": engine.rate,
        "naive_gflops": naive.rate * case.flops / 1e9,
        "engine_gflops": engine.rate * case.flops / 1e9,
        "ratio": engine.rate / naive.rate,
        "agree": all(agree(a, b) for a, b in pairs),
        "disagreements": sum(not agree(a, b) for a, b in pairs),
    }


def make_naive(case: Case, workload: Workload) -> NaiveSearch:
    """One image per call."""
    networks = NaiveNetworks(case.generator.network, case.sut.network, workload.center)
    return NaiveSearch(networks, screen, Fixed(1.0), workload.strategy, workload.max_queries)


def make_engine(case: Case, workload: Workload) -> Engine:
    """latreg's own, with an empty memory."""
    renderer = Renderer(case.generator, workload.center, None, case.chunk, workload.strategy.mixed_layers)
    limits = Limits(max_queries_per_source=workload.max_queries, concurrency=case.concurrency)
    return Engine(renderer, case.sut, screen, Fixed(1.0), BaselineGate(), workload.strategy, limits)


def match(naive: Sequence[SourceSearch], engine: Sequence[SourceSearch]) -> list[tuple[SourceSearch, SourceSearch]]:
    """What the two found on the same source, for each time that the engine searched it."""
    by_source = {search.source: search for search in naive}
    return [(by_source[search.source], search) for search in engine]


def agree(a: SourceSearch, b: SourceSearch) -> bool:
    """The same decision on the source, the same kind of flip, and brackets that meet within BRACKET."""
    if a.rejected_because != b.rejected_because or (a.pair is None) != (b.pair is None):
        return False
    if a.pair is None or b.pair is None:
        return True
    p, q = a.pair.first.proposal, b.pair.first.proposal
    same = (p.partner_z_seed, p.rival, p.layers) == (q.partner_z_seed, q.rival, q.layers)
    near = abs(p.alpha - q.alpha) <= BRACKET and abs(p.psi - q.psi) <= BRACKET
    return same and near and a.pair.first.predicted == b.pair.first.predicted
