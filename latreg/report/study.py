"""The numbers in the text of the study: the part between two markers is written from the results, never by hand."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from latreg.errors import LatregError
from latreg.report import digest, text
from latreg.report.page import Picture
from latreg.report.results import Results
from latreg.report.rows import CellRow
from latreg.runs.files import replacing

PUBLISHED = "_published"  # what names of strategies end in that search as the authors' code does
BEGIN, END = "<!-- results: begin, written by `make figures` -->", "<!-- results: end -->"


def update(path: Path, results: Results, pictures: Mapping[str, Picture]) -> None:
    """Replace the marked part of a Markdown file, and put the pictures that it shows into `figures` beside it.

    Raises:
        LatregError: the file is missing or has no markers, or cannot be written.
    """
    try:
        before, rest = path.read_text().split(BEGIN)
        _, after = rest.split(END)
    except (OSError, ValueError) as error:
        raise LatregError(f"expected {path} with the lines {BEGIN!r} and {END!r}, each once") from error
    with replacing(path) as file:
        file.write(f"{before}{BEGIN}\n{section(results)}{END}{after}".encode())
    for name in _shown(results):
        if name in pictures:
            with replacing(path.parent / "figures" / f"{name}.png") as file:
                file.write(pictures[name].png)


def section(results: Results) -> str:
    """Claims, best searches and pictures as Markdown."""
    lines = ["", *_extent(results), "", "### Claims", "", "| claim | verdict |", "|---|---|"]
    lines += [f"| ({claim.number}) {claim.statement} | **{claim.verdict}** |" for claim in results.claims]
    for claim in results.claims:
        lines += ["", f"**({claim.number}) {claim.statement}** {claim.measured}", ""]
        for answer in claim.datasets:
            lines.append(f"- {answer.dataset}: **{answer.verdict}**; {digest.sentence(answer)}.")
    lines += ["", "### Where to start", "", "| data set | aim | search | faults | sources per | queries per |"]
    lines += ["|---|---|---|---|---|---|", *map(_start, digest.best(results))]
    lines += _as_published(results)
    for name in _shown(results):
        lines += ["", f"![Flips and robust faults per source against psi](figures/{name}.png)"]
    return "\n".join(lines) + "\n\n"


def _extent(results: Results) -> list[str]:
    study = results.study
    lines = [
        f"{study['runs']} runs, {study['sources']:,} searches of sources{text.chosen(study)}, {study['queries']:,} "
        f"queries, {text.duration(study['seconds'])}."
    ]
    for name, of in study["datasets"].items():
        sources = " to ".join(f"{n:,}" for n in sorted(set(of["sources"])))
        limits, gates = " or ".join(map(str, of["queries_per_source"])), "; ".join(of["gates"])
        lines.append(f"- {name}: {sources} sources, at most {limits} queries each; gates of a valid fault: {gates}.")
    return [lines[0], "", *lines[1:], *(f"- {note}" for note in study["notes"])]


def _start(best: digest.Best) -> str:
    if best.row is None:
        return f"| {best.dataset} | {best.aim} | no {best.kind} fault was found | | | |"
    numbers = best.row.numbers
    costs = [text.value(numbers, f"{what}_per_{best.kind}_fault") for what in ("sources", "queries")]
    found = f"{numbers[f'{best.kind}_faults']} of {numbers['sources']:,}{text.kept(numbers, best.kind)}"
    return f"| {best.dataset} | {best.aim} | {best.row.cell.name} | {found} | {' | '.join(costs)} |"


def _as_published(results: Results) -> list[str]:
    """The published searches beside ours from the same sources; nothing where there are none."""
    drawn = {row.cell: row for row in results.cells if row.stratum == "all"}
    pairs = [
        (replace(cell, strategy=cell.strategy.removesuffix(PUBLISHED)), cell)
        for cell in drawn
        if cell.strategy.endswith(PUBLISHED)
    ]
    rows = [_beside(drawn[cell]) for pair in pairs for cell in pair if cell in drawn]
    heads = "data set | search | flips per source | label kept, of flips | valid faults | queries per valid fault"
    heads += " | held-out judge keeps, of valid | robust faults"
    title = ["", "### Ours and the published searches", "", f"| {heads} |", f"|{'---|' * 8}"]
    return title + rows if rows else []


def _beside(row: CellRow) -> str:
    numbers = row.numbers
    cells = (
        row.cell.dataset,
        row.cell.name,
        text.rate(numbers, "flipped_rate"),
        text.rate(numbers, "label_kept_share"),
        f"{numbers['valid_faults']} of {numbers['sources']:,}",
        text.value(numbers, "queries_per_valid_fault"),
        text.rate(numbers, "held_out_rate_of_valid"),
        text.number(numbers["robust_faults"]),
    )
    return f"| {' | '.join(cells)} |"


def _shown(results: Results) -> list[str]:
    return [f"yield_{dataset}" for dataset in results.study["datasets"]]
