"""python -m benchmarks: the engine against one image per call; prints a table and writes bench.json.

Exit code 0 only if both find the same. Times are CPU seconds of one thread, on a GPU seconds.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks.cases import Case, cifar512, configured_strategy, small
from benchmarks.contest import Workload, contest
from benchmarks.measure import Clock, convolution_peak, machine
from latreg.compute.memory import keep_freed_memory
from latreg.measures.tables import aligned

ROUNDS = 7  # of the measurement of the synthesis alone
COLUMNS = (
    "case",
    "workload",
    "queries",
    "flips",
    "naive_per_second",
    "engine_per_second",
    "engine_gflops",
    "ratio",
    "agree",
)
SYNTHESIS_COLUMNS = (
    "case",
    "chunk",
    "gflop_per_image",
    "images_per_second",
    "gflops",
    "convolution_peak_gflops",
    "peak_share",
)


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("bench.json"))
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.set_num_threads(1)
    keep_freed_memory()
    results = measure(device)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n")
    print(as_text(results))
    return 0 if results["agree"] else 1


def measure(device: torch.device) -> dict[str, Any]:
    """Everything that bench.json holds."""
    clock = Clock(device)
    cases = small(device), cifar512(device)
    syntheses = [synthesis(case, clock) for case in cases]
    rows = [
        contest(cases[0], Workload("first flip", configured_strategy("random"), "global", 100, 1000), clock),
        contest(cases[0], Workload("mixing", configured_strategy("mixing"), "class", 100, 80), clock),
        contest(cases[1], Workload("mixing", configured_strategy("mixing"), "class", 32, 40), clock),
    ]
    return {
        "machine": machine(device),
        "first_flip_ratio_small": rows[0]["ratio"],
        "mixing_ratio_small": rows[1]["ratio"],
        "mixing_ratio_cifar512": rows[2]["ratio"],
        "synthesis_peak_share_small": syntheses[0]["peak_share"],
        "agree": all(row["agree"] for row in rows),
        "rows": rows,
        "synthesis": syntheses,
    }


@torch.inference_mode()
def synthesis(case: Case, clock: Clock) -> dict[str, Any]:
    """How close the synthesis alone comes to the bound, at the batch size of a search."""
    w = case.generator.w_avg.expand(case.chunk, case.generator.num_ws, -1).contiguous()
    peaks, speeds = [], []
    for _ in range(ROUNDS):
        peaks.append(convolution_peak(clock, case.chunk))
        speeds.append(case.chunk * clock.rate(lambda: case.generator.synthesize(w)))
    return {
        "case": case.name,
        "chunk": case.chunk,
        "gflop_per_image": case.flops / 1e9,
        "images_per_second": median(speeds),
        "gflops": median(speeds) * case.flops / 1e9,
        "convolution_peak_gflops": median(peaks) / 1e9,
        "peak_share": median(speed * case.flops / peak for speed, peak in zip(speeds, peaks, strict=True)),
    }


def as_text(results: dict[str, Any]) -> str:
    """What the numbers were measured on, and both tables."""
    tables = [(COLUMNS, results["rows"]), (SYNTHESIS_COLUMNS, results["synthesis"])]
    texts = [aligned([names, *([row[name] for name in names] for row in rows)]) for names, rows in tables]
    return "\n\n".join([results["machine"], *texts])


if __name__ == "__main__":
    sys.exit(main())
