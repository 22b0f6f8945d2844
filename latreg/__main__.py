"""latreg COMMAND [ARGUMENTS ..]: one name for the commands, each of which is also a module (`python -m`)."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Command:
    """One command of the command line."""

    module: str  # below latreg, with a main(arguments) that returns the exit code; run's takes sys.argv
    help: str


COMMANDS = {
    "run": Command("run", "search a classifier for faults, or train a network: +experiment=mnist_hunt [key=value ..]"),
    "replay": Command("replay", "render every pair of a run again and show it to the classifier"),
    "merge": Command("merge", "join the shards of a search"),
    "export": Command("export", "write the faults of a run with their labels, for use elsewhere"),
    "publish": Command("publish", "push weights, records or exported faults to the Hugging Face hub"),
    "retest": Command("retest", "show the faults of a run to another classifier, with an exit code for CI"),
    "repair": Command("repair", "train a classifier on with the faults of a run, and measure what that does"),
    "mutants": Command("mutants", "how well the faults of a run tell slightly wrong classifiers from the searched one"),
    "annotate": Command("annotate", "let people name the faults of runs on a page in the browser"),
    "agreement": Command("agreement", "what people said of a study, beside the judge"),
    "report": Command("report.__main__", "compare runs on one page, with intervals, tests and pictures"),
    "dashboard": Command("dashboard.__main__", "create a workspace in Weights & Biases that compares runs"),
    "import-generator": Command("import_generator", "convert a StyleGAN2 pickle into a weights file"),
    "compact": Command("generator.compact", "shrink the checkpoint of a generator's training"),
    "widen": Command("generator.widen", "continue the training of a generator with wider layers"),
    "transfer": Command("generator.transfer", "begin a training with weights that have no checkpoint"),
}
HYDRAS = "run"  # the command that Hydra reads
COMPLETION = ("-sc", "--shell-completion")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: hand over to a command, and import nothing that it does not need; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        return 0 if given else 2
    if given[0] in COMPLETION:
        return _complete(given)
    name, rest = given[0].replace("_", "-"), given[1:]
    if name not in COMMANDS:
        print(f"expected a command of latreg, got {given[0]!r}\n\n{usage()}", file=sys.stderr)
        return 2
    return _call(name, rest)


def usage() -> str:
    """A line for each command."""
    lines = [f"  {name:<18}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: latreg COMMAND [ARGUMENTS ..]", "", *lines, "", "latreg COMMAND --help tells more."])


def _call(name: str, arguments: Sequence[str]) -> int:
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as python -m does: a user's modules lie in the working directory
    command = import_module(f"latreg.{COMMANDS[name].module}")
    if name == HYDRAS:
        sys.argv[1:] = arguments
        command.main()
        return 0
    code: int = command.main(arguments)
    return code


def _complete(arguments: Sequence[str]) -> int:
    """What a shell asks while a command line is typed: the commands, or behind `run` what Hydra knows.

    Hydra's completion is made for a program without commands, so it is shown the line without its `run`.
    """
    program, *words = os.environ.get("COMP_LINE", "").split(" ")
    if "query" not in arguments[-1] or (words[:1] == [HYDRAS] and len(words) > 1):
        os.environ["COMP_LINE"] = " ".join([program, *words[1:]])
        return _call(HYDRAS, arguments)
    if len(words) < 2:
        print(" ".join(COMMANDS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
