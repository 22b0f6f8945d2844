"""The other generated pages: experiments, commands, the Python interface, the example notebook and the gallery."""

import contextlib
import io
import os
from importlib import import_module
from pathlib import Path

import nbformat

import latreg.api
from docs.hooks.comments import head_of
from latreg.__main__ import COMMANDS, HYDRAS
from latreg.config import conf_dir

DOCS = Path(__file__).resolve().parents[1]
DATA_SETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
SAMPLES = {  # end of a picture's name => what it shows
    "psi_1_class": "without truncation",
    "psi_0.7_class": "psi 0.7, towards the mean of the class",
    "psi_0.7_global": "psi 0.7, towards the mean of all classes",
}
GALLERY = """# Gallery

[The report](report/index.html) of the study has faults of each search with their numbers, and the
commands that replay them.

## Robust faults

In each row: the generated source, the last image that the classifier gets right, the first one that it gets wrong, the
most severe one behind it, and how that differs from the source. [Start](index.md) explains the words beside them.
"""
CONTRACTS = {  # module => names; what one implements to extend latreg
    "latreg.interfaces": ("Strategy", "Proposal", "Evaluation", "BoundaryPair", "Generator", "SUT"),
    "latreg.search.protocol": ("query", "query_one", "report", "appraise"),
    "latreg.validity.gate": ("Gate",),
    "latreg.classifier.adapters.adapted": ("Model",),
}


def experiments() -> str:
    """What each file of conf/experiment is for."""
    paths = sorted((Path(conf_dir()) / "experiment").glob("*.yaml"))
    rows = [f"| `{path.stem}` | {head_of(path)} |" for path in paths]
    opening = "`python -m latreg.run +experiment=<name>` runs one; behind it, any [setting](settings.md) can be given."
    return "\n".join(["# Experiments", "", opening, "", "| name | what it is |", "|---|---|", *rows, ""])


def commands() -> str:
    """The help of each command."""
    lines = ["# Commands", "", "`latreg <command>` is `python -m latreg.<command>`.", ""]
    for name, command in COMMANDS.items():
        lines += [f"## {name}", "", f"latreg {name}: {command.help}.", ""]
        lines += ["See [Settings](settings.md)."] if name == HYDRAS else ["```text", _help_of(command.module), "```"]
        lines.append("")
    return "\n".join(lines)


def _help_of(module: str) -> str:
    said = io.StringIO()
    os.environ["COLUMNS"] = "100"  # what argparse takes for the width
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        import_module(f"latreg.{module}").main(["--help"])
    return said.getvalue().rstrip()


def python() -> str:
    """What scripts import, and the contracts of what can be added, from their docstrings."""
    lines = ["# Python", "", "[Notebooks and scripts](../api.md) shows how these are used.", "", "## In scripts", ""]
    lines += [f"::: latreg.api.{name}\n" for name in latreg.api.__all__]
    lines += ["## To extend latreg", "", "[Extend latreg](../CONTRIBUTING.md) takes you through it.", ""]
    lines += [f"::: {module}.{name}\n" for module, names in CONTRACTS.items() for name in names]
    return "\n".join(lines)


def notebook() -> str:
    """The cells of the example notebook, which is kept without outputs."""
    cells = nbformat.read(DOCS / "examples" / "search.ipynb", as_version=4).cells  # type: ignore[no-untyped-call]
    written = [cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```" for cell in cells]
    return "\n\n".join([*written, "[Download the notebook](search.ipynb).", ""])


def gallery() -> str:
    """Pictures that lie in docs/: faults, and what the generators draw."""
    faults = [f"![Robust faults, {named}]({name}_examples.png)\n" for name, named in DATA_SETS.items() if _drawn(name)]
    lines = [GALLERY, *faults, "## What the generators draw", "", "Each row is a class.", ""]
    for name, named in DATA_SETS.items():
        lines += [f"### {named}", ""]
        for end, shown in SAMPLES.items():
            lines += [f"{shown[0].upper()}{shown[1:]}:", "", f"![{named}, {shown}]({name}_samples_{end}.png)", ""]
    return "\n".join(lines)


def _drawn(name: str) -> bool:
    return (DOCS / f"{name}_examples.png").is_file()
