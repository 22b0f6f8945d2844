"""python -m benchmarks.peers DATASET: searches of other people beside latreg's, on its networks, sources and gates.

Prints what each found per 1,000 queries and per CPU second of one thread, with n and 95 % intervals (bootstrap of the
sources). The contenders take turns; the time to judge what was found counts. Peers search source by source, so each
round gives them some of the sources, and latreg's strategies, which search side by side, all of them. Faults are
valid and robust by latreg's gates and margins, for all alike. What a peer does otherwise than its own code stands at
the head of its file in benchmarks/peers/.
"""

import argparse
import os
import sys
from collections.abc import Sequence

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks.measure import Clock, machine
from benchmarks.peers.contenders import EPSILON, PEERS, STRATEGIES, USUAL, Arena, Contender
from benchmarks.peers.tally import FOUND, Tally
from latreg.compute.memory import keep_freed_memory
from latreg.errors import LatregError
from latreg.measures.tables import aligned

PER_QUERY = (
    "per 1,000 queries",
    "queries",
    "flips",
    "95 %",
    "valid",
    "95 %",
    "robust",
    "95 %",
    "found",
    "held-out judge",
)
PER_SECOND = ("per CPU second", "startup", "queries", "rounds", "valid", "95 %", "robust", "95 %", "L2", "L-infinity")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("dataset", choices=EPSILON)
    parser.add_argument("--sources", type=int, default=5, help="of a class")
    parser.add_argument("--cap", type=int, default=200, help="queries of a source")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=[*PEERS, *STRATEGIES], default=USUAL, help="contenders")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    clock = Clock(torch.device("cpu"))
    try:
        arena = Arena(asked.dataset, asked.sources, asked.cap)
        print(machine(clock.device))
        print(f"{asked.dataset}: {len(arena.sources)} sources, at most {asked.cap} queries each; gates {arena.gates};")
        print(f"imports, networks and their first answers took {clock():.1f} CPU seconds, for all alike\n", flush=True)
        print(as_text(compete([arena.contender(name) for name in asked.only], arena, asked.rounds, clock)))
    except LatregError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def compete(contenders: Sequence[Contender], arena: Arena, rounds: int, clock: Clock) -> list[Tally]:
    """They take turns."""
    tallies = []
    for contender in contenders:
        started = clock()
        contender.run([arena.first])
        tallies.append(Tally(contender.name, clock() - started))
    for part in range(rounds):
        for contender, tally in zip(contenders, tallies, strict=True):
            share = arena.sources[part::rounds] if contender.one_by_one else arena.sources
            started = clock()
            records = contender.run(share)
            tally.add(records, clock() - started)
    return tallies


def as_text(tallies: Sequence[Tally]) -> str:
    """Two tables: what a query finds, and what a second finds."""
    per_query = [
        [
            *(tally.name, tally.queries, *(cell for kind in FOUND for cell in tally.per_query(kind, 1000))),
            *(" ".join(str(tally.count(kind)) for kind in FOUND), tally.kept),
        ]
        for tally in tallies
    ]
    per_second = [
        [
            *(tally.name, tally.startup, tally.rate, [min(tally.rates), max(tally.rates)]),
            *(cell for kind in FOUND[1:] for cell in tally.per_query(kind, tally.rate)),
            *tally.distances,
        ]
        for tally in tallies
    ]
    return "\n\n".join(aligned([names, *rows]) for names, rows in ((PER_QUERY, per_query), (PER_SECOND, per_second)))


if __name__ == "__main__":
    sys.exit(main())
