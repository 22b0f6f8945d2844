"""python -m benchmarks.commands COMMIT: what whole commands cost, in this checkout and at another commit of it.

The two take turns. Costs are CPU seconds of a command and all that it waited for, with one thread, after a run that
compiles; a machine that does other work slows both down, so the ratio is what counts. Exit code 0 only if both find
the same.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch

from benchmarks.measure import machine
from latreg.measures.tables import aligned

HERE = Path(__file__).parents[1]
FOUND = ("queries", "flipped", "valid_faults", "robust_faults")  # that the two must agree on
ONE = ("search.sources_per_class=1", "search.classes=[0]")
COMMANDS = {
    "help": ("--help",),
    "mnist_one": ("+experiment=mnist_hunt", *ONE),
    "mnist_one_untracked": ("+experiment=mnist_hunt", *ONE, "tracking=disabled"),
    "cifar10_one": ("+experiment=cifar10_hunt", *ONE),
    "cifar10_random": ("+experiment=cifar10_random",),
    "cifar10_hunt": ("+experiment=cifar10_hunt",),
    "cifar10_hunt_untracked": ("+experiment=cifar10_hunt", "tracking=disabled"),
    "cifar10_mixing": ("+experiment=cifar10_mixing",),
    "mnist_hunt": ("+experiment=mnist_hunt",),
    "mnist_mixing": ("+experiment=mnist_mixing",),
    "mnist_mixing_untracked": ("+experiment=mnist_mixing", "tracking=disabled"),
}
COLUMNS = ("command", "before", "spread", "after", "spread", "ratio", "MiB before", "after", "found", "same")


@dataclass
class Tally:
    """What the runs of one command cost in one tree, and what they found."""

    seconds: list[float] = field(default_factory=list)
    mebibytes: list[float] = field(default_factory=list)  # of its largest process
    found: set[tuple[int, ...]] = field(default_factory=set)

    def run(self, tree: Path, arguments: Sequence[str]) -> None:
        """Run the command once more."""
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "latreg.run", *arguments, f"hydra.run.dir={folder}/run"]
            environment = os.environ | {"PYTHONPATH": str(tree)}
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                raise subprocess.CalledProcessError(process.returncode, command)
            self.seconds.append(usage.ru_utime + usage.ru_stime)
            self.mebibytes.append(usage.ru_maxrss / 1024)
            metrics = Path(folder, "run", "metrics.json")
            results = json.loads(metrics.read_text()) if metrics.is_file() else {}
            self.found.add(tuple(results[name] for name in FOUND if name in results))

    @property
    def spread(self) -> list[float]:
        return [min(self.seconds), max(self.seconds)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commands", description=__doc__)
    parser.add_argument("commit", help="that this checkout is compared with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sources", type=int, default=20, help="of a class")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    asked = parser.parse_args(arguments)
    print(machine(torch.device("cpu")), flush=True)
    tallies = {name: (Tally(), Tally()) for name in asked.only}
    with checked_out(asked.commit) as before:
        for tree in (before, HERE):
            Tally().run(tree, COMMANDS["mnist_one"])
        for _ in range(asked.rounds):
            for name, pair in tallies.items():
                for tree, tally in zip((before, HERE), pair, strict=True):
                    tally.run(tree, of_size(COMMANDS[name], asked.sources))
                a, b = (tally.seconds[-1] for tally in pair)
                print(f"{name}: {a:.1f} and {b:.1f} CPU seconds", flush=True)  # the table comes when all is done
    rows = [row(name, *pair) for name, pair in tallies.items()]
    print(aligned([COLUMNS, *rows]))
    return 0 if all(cells[-1] for cells in rows) else 1


def of_size(command: Sequence[str], sources: int) -> tuple[str, ...]:
    """The command with so many sources of a class, where it searches and does not say how many itself."""
    unsized = command[0].startswith("+") and not set(ONE) <= set(command)
    return (*command, f"search.sources_per_class={sources}") if unsized else tuple(command)


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        git = ["git", "-C", str(HERE), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", tree], check=True)


def row(name: str, before: Tally, after: Tally) -> list[object]:
    """Medians and spreads of one command."""
    a, b = median(before.seconds), median(after.seconds)
    memory = (round(max(tally.mebibytes)) for tally in (before, after))
    found = " ".join(map(str, min(after.found)))
    return [name, a, before.spread, b, after.spread, a / b, *memory, found, before.found == after.found]


if __name__ == "__main__":
    sys.exit(main())
