"""python -m benchmarks.scaling: how the cost of a search grows with sources, layers and channels.

CPU seconds of one thread, untrained networks for the channels. Prints three tables.
"""

import os
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks.cases import Case, configured, configured_strategy, small
from benchmarks.contest import Workload, make_engine
from benchmarks.measure import Clock, machine
from latreg.compute.memory import keep_freed_memory
from latreg.generator.networks import GeneratorNetwork
from latreg.generator.pretrained import StyleGAN2, network_arguments
from latreg.interfaces import Proposal
from latreg.jobs.assembly import suitable_chunk
from latreg.measures.tables import aligned
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer

ROUNDS = 3
SOURCES = (25, 50, 100, 200)
LAYER_SETS = ([7], [6], [5], [4], [3], [5, 6], [3, 4, 5, 6], list(range(8)))
CHANNEL_BASES = (512, 1024, 2048, 4096, 8192)
STEPS = 10  # of a bisection
PAIRS = 32  # bisected side by side


def main() -> int:
    """Command line; returns the exit code."""
    torch.set_num_threads(1)
    keep_freed_memory()
    device = torch.device("cpu")
    clock, case = Clock(device), small(device)
    print(machine(device))
    for title, rows in (
        ("Sources, mixing with at most 80 queries each", by_sources(case, clock)),
        (f"Layers mixed, {STEPS} bisection steps of {PAIRS} pairs", by_layers(case, clock)),
        ("Channels, synthesis alone", by_channels(clock)),
    ):
        names = list(rows[0])
        print(f"\n{title}\n{aligned([names, *([row[name] for name in names] for row in rows)])}")
    return 0


def by_sources(case: Case, clock: Clock) -> list[dict[str, Any]]:
    """A search of more and more sources."""
    workload = Workload("mixing", configured_strategy("mixing"), "class", 0, 80)
    rows = []
    for count in SOURCES:
        started = clock()
        queries = sum(search.queries for search in make_engine(case, workload).run(case.sources[:count]))
        seconds = clock() - started
        rows.append({"sources": count, "queries": queries, "seconds": seconds, "queries_per_second": queries / seconds})
    return rows


def by_layers(case: Case, clock: Clock) -> list[dict[str, Any]]:
    """A bisection of alpha, with the states of the sources at hand as in a search."""
    rates = {tuple(layers): median(bisection_rate(case, clock, layers) for _ in range(ROUNDS)) for layers in LAYER_SETS}
    whole = rates[tuple(LAYER_SETS[-1])]
    return [
        {"layers": " ".join(map(str, layers)), "images_per_second": rate, "of_all_layers": rate / whole}
        for layers, rate in rates.items()
    ]


def bisection_rate(case: Case, clock: Clock, layers: Sequence[int]) -> float:
    """Images per second."""
    renderer = Renderer(case.generator, "class", None, case.chunk)
    sources = case.sources[:PAIRS]
    renderer.render([Request(source, Proposal(1.0)) for source in sources])
    started = clock()
    for step in range(STEPS):
        alpha = 1 - 2.0 ** -(step + 1)
        renderer.render(
            [
                Request(source, Proposal(1.0, source.z_seed + 1, (source.label + 1) % 10, tuple(layers), alpha))
                for source in sources
            ]
        )
    return PAIRS * STEPS / (clock() - started)


@torch.inference_mode()
def by_channels(clock: Clock) -> list[dict[str, Any]]:
    """Generators of more and more channels."""
    rows = []
    for base in CHANNEL_BASES:
        cfg = configured("dataset=cifar10", f"generator.channel_base={base}", f"generator.channel_max={base // 8}")
        generator = StyleGAN2(GeneratorNetwork(**network_arguments(cfg.generator, cfg.dataset)), "random")
        case = Case(str(base), generator, None, [])  # type: ignore[arg-type]
        chunk = suitable_chunk(generator)
        w = generator.w_avg.expand(chunk, generator.num_ws, -1).contiguous()
        rate = chunk * median(clock.rate(lambda g=generator, w=w: g.synthesize(w)) for _ in range(ROUNDS))  # type: ignore[misc]
        rows.append(
            {
                "channel_max": base // 8,
                "gflop_per_image": case.flops / 1e9,
                "images_per_second": rate,
                "gflops": rate * case.flops / 1e9,
            }
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
