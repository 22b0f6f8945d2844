"""One html page that holds everything, and opens without a network."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from latreg.report import digest, figures, pairs, table, text
from latreg.report.marks import Mark
from latreg.report.results import Results
from latreg.report.rows import Numbers, Raw
from latreg.runs.files import replacing

CAPTIONS = {
    "yield": (
        "Flips and robust faults per source",
        "Wrong answers (above) and robust faults (below; valid ones where runs know no robust ones) per source against "
        "psi; bars are 95 % Wilson intervals. Left towards the mean of all classes, right towards the mean of the "
        "class. random sweeps psi on from that of the source, down to 0.55 as published, so small psi leave it nothing "
        "to sweep.",
    ),
    "cost": (
        "What a fault costs",
        "Sources and queries per robust fault (valid ones where runs know no robust ones) on a logarithmic scale; bars "
        "are 95 % bootstrap intervals, open above where resamples had no fault at all.",
    ),
    "budget": (
        "Faults against queries",
        "In the order of the search: without truncation, and with the truncation that found most.",
    ),
    "validity": (
        "From flips to valid faults",
        "Grey: flips per source. Coloured: those of them that pass each gate, and that pass all of them; a valid fault "
        "needs the gates of its run only. A fault that sampling draws is its own source, and so always similar to it.",
    ),
    "classes": (
        "From which class to which",
        "Flips by class of the source and answer of the SUT, summed over truncations; valid faults in brackets.",
    ),
}


class Picture(NamedTuple):
    """A figure as a PNG file, and what its marks say."""

    png: bytes
    marks: Sequence[Mark] = ()


def write_figures(results: Results, folder: Path) -> dict[str, Picture]:
    """Write each figure as PDF and PNG; returns them by name.

    Raises:
        LatregError: the folder cannot be written.
    """
    pictures: dict[str, Picture] = {}
    for name, figure in figures.draw(results).items():
        for kind in ("pdf", "png"):
            content = figures.render(figure, kind)
            with replacing(folder / f"{name}.{kind}") as file:
                file.write(content)
        pictures[name] = Picture(content, figure.marks())
    return pictures


def write_page(results: Results, pictures: Mapping[str, Picture], path: Path) -> None:
    """Write the page.

    Raises:
        LatregError: it cannot be written.
    """
    with replacing(path) as file:
        file.write(page(results, pictures).encode())


def page(results: Results, pictures: Mapping[str, Picture]) -> str:
    """The page as html, with style, script and all pictures inside."""
    environment = Environment(
        loader=PackageLoader("latreg.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(text=text, digest=digest, pairs=pairs, strata=table.STRATA, either=table.EITHER)
    return environment.get_template("page.html.jinja").render(
        style=_beside("page.css"),
        script=_beside("page.js"),
        study=results.study,
        claims=results.claims,
        silent=[claim for claim in results.claims if not any(answer.primary for answer in claim.datasets)],
        people=results.people,
        seen=list(_seen(results)),
        tests=len(results.comparisons),
        best=digest.best(results),
        columns=table.columns(results),
        searches=table.searches(results),
        gallery=results.gallery,
        opened=_opened(results),
        figures={name: _figures(pictures, name) for name in results.study["datasets"]},
    )


def _beside(name: str) -> Markup:
    """A file beside the template, to stand in the page as it is."""
    return Markup(files("latreg.report").joinpath(name).read_text(encoding="utf-8"))


def _seen(results: Results) -> Iterator[tuple[str, str, Raw, Numbers]]:
    """Data set, name, what people said, and the numbers of the runs, of each cell of which people saw faults."""
    known = {(row.cell.dataset, row.cell.name): row.numbers for row in results.cells if row.stratum == "all"}
    for people in results.people:
        for name, said in people.cells.items():
            if name not in ("all", "robust"):
                yield people.dataset, name, said, known.get((people.dataset, name), {})


def _figures(pictures: Mapping[str, Picture], dataset: str) -> list[dict[str, Any]]:
    """The figures of a data set, with what stands below them."""
    shown = [(kind, pictures[f"{kind}_{dataset}"]) for kind in CAPTIONS if f"{kind}_{dataset}" in pictures]
    return [
        {
            "title": CAPTIONS[kind][0],
            "caption": CAPTIONS[kind][1],
            "png": base64.b64encode(picture.png).decode(),
            "marks": picture.marks,
        }
        for kind, picture in shown
    ]


def _opened(results: Results) -> str:
    """The strategy whose pairs are shown first: of those that have some, the first of the table."""
    shown = {pair.cell.strategy for pair in results.gallery}
    return next((strategy for strategy in table.strategies(results) if strategy in shown), "")
