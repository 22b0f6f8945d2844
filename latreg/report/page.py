"""One html page that holds everything, and opens without a network."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from latreg.report import digest, figures, text
from latreg.report.results import CHOSEN, Results
from latreg.report.rows import Pair
from latreg.runs.files import replacing

CAPTIONS = {
    "yield": (
        "Flips and valid faults per source",
        "Wrong answers (above) and valid faults (below) per source against psi; bars are 95 % Wilson intervals. Left "
        "towards the mean of all classes, right towards the mean of the class. random sweeps psi on from that of the "
        "source, down to 0.55 as published, so small psi leave it nothing to sweep.",
    ),
    "cost": (
        "What a valid fault costs",
        "Sources and queries per valid fault on a logarithmic scale; bars are 95 % bootstrap intervals, open above "
        "where resamples had no fault at all.",
    ),
    "budget": (
        "Valid faults against queries",
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
FLIPS: tuple[tuple[str, str, str], ...] = (  # heading, column, how it is shown
    ("sources", "sources", "number"),
    ("accepted", "accepted_rate", "percent"),
    ("flipped, per source", "flipped_rate", "rate"),
)
GATES = {  # heading and how it is shown
    "screened": ("similar", "percent"),
    "label_kept": ("label kept", "rate"),
    "held_out": ("held-out judge keeps", "rate"),
}  # others by their names, in percent
FAULTS: tuple[tuple[str, str, str], ...] = (
    ("valid faults", "valid_faults", "number"),
    ("valid, per source", "valid_rate", "rate"),
    ("sources per valid fault", "sources_per_valid_fault", "value"),
    ("queries per valid fault", "queries_per_valid_fault", "value"),
    ("held-out judge keeps, of valid", "held_out_rate_of_valid", "rate"),
    ("robust faults", "robust_faults", "number"),
    ("robust, per source", "robust_rate", "rate"),
    ("sources per robust fault", "sources_per_robust_fault", "value"),
    ("queries per robust fault", "queries_per_robust_fault", "value"),
    ("held-out judge keeps, of robust", "held_out_rate_of_robust", "rate"),
    ("stability of valid faults, median", "stability_median", "value"),
    ("severe margin, median", "severe_margin_median", "value"),
    ("boundary margin, median", "margin_median", "value"),
    ("bracket, median", "bracket_median", "value"),
    ("SSIM, median", "ssim_median", "value"),
    ("class pairs", "class_pairs", "number"),
)
MEASURED: tuple[tuple[str, str, str], ...] = (  # the same for what comes from metrics.json, where it was measured
    ("judge distance", "judge_distance", "value"),
    ("LPIPS", "lpips", "value"),
    ("pixel distance", "diversity", "number"),
    ("cells reached", "cells_reached", "reached"),
    ("groups", "groups", "number"),
)
WITH_OTHERS = ("rate", "value", "reached")  # what reads other columns of the row too

STRATUM_TITLES = {
    "all": "All drawn sources",
    "confident": "Drawn sources of which the classifier is confident",
    "uncertain": "Drawn sources of which the classifier is uncertain",
    CHOSEN: "Sources chosen because the classifier is uncertain of them without truncation",
}


def write_figures(results: Results, folder: Path) -> dict[str, bytes]:
    """Write each figure as PDF and PNG; returns the PNG files by name.

    Raises:
        LatregError: the folder cannot be written.
    """
    pictures: dict[str, bytes] = {}
    for name, figure in figures.draw(results).items():
        for kind in ("pdf", "png"):
            content = figures.render(figure, kind)
            with replacing(folder / f"{name}.{kind}") as file:
                file.write(content)
        pictures[name] = content
    return pictures


def write_page(results: Results, pictures: Mapping[str, bytes], path: Path) -> None:
    """Write the page.

    Raises:
        LatregError: it cannot be written.
    """
    with replacing(path) as file:
        file.write(page(results, pictures).encode())


def page(results: Results, pictures: Mapping[str, bytes]) -> str:
    """The page as html, with all pictures inside."""
    environment = Environment(
        loader=PackageLoader("latreg.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(text=text, digest=digest, strata=STRATUM_TITLES, with_others=WITH_OTHERS)
    return environment.get_template("page.html.jinja").render(
        study=results.study,
        claims=results.claims,
        tests=len(results.comparisons),
        best=digest.best(results),
        datasets=[_dataset(results, pictures, name) for name in results.study["datasets"]],
        columns=(*_repetitions(results), *FLIPS, *_gates(results), *_known(results, FAULTS), *_measured(results)),
    )


def _dataset(results: Results, pictures: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """Everything about one data set."""
    gallery = _groups([pair for pair in results.gallery if pair.cell.dataset == name])
    shown = [(kind, f"{kind}_{name}") for kind in CAPTIONS if f"{kind}_{name}" in pictures]
    return {
        "name": name,
        "of": results.study["datasets"][name],
        "cells": [row for row in results.cells if row.cell.dataset == name],
        "figures": [
            {"title": CAPTIONS[kind][0], "caption": CAPTIONS[kind][1], "uri": data_uri(pictures[file])}
            for kind, file in shown
        ],
        "gallery": gallery,
        "opened": max(gallery, key=lambda group: sum(pair.valid_fault for pair in gallery[group]), default=None),
    }


def _groups(gallery: list[Pair]) -> dict[str, list[Pair]]:
    groups: dict[str, list[Pair]] = {}
    for pair in gallery:
        groups.setdefault(f"{pair.cell.strategy}, {pair.cell.center} center", []).append(pair)
    return groups


def _repetitions(results: Results) -> tuple[tuple[str, str, str], ...]:
    """Their number, where some cell pools several; older results do not tell it."""
    pooled = any((row.numbers.get("repetitions") or 1) > 1 for row in results.cells)
    return (("repetitions", "repetitions", "number"),) if pooled else ()


def _gates(results: Results) -> Iterator[tuple[str, str, str]]:
    """How many of the flips pass each gate."""
    for gate in results.gates:
        name, kind = GATES.get(gate, (gate.replace("_", " "), "percent"))
        yield f"{name}, of flips", f"{gate}_share", kind


def _known(results: Results, columns: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """Those columns that the results have; older ones do not tell which faults are robust."""
    yield from (column for column in columns if all(column[1] in row.numbers for row in results.cells))


def _measured(results: Results) -> tuple[tuple[str, str, str], ...]:
    """The numbers that come from metrics.json: diversity, and then the others under their own names."""
    names = list(results.cells[0].numbers) if results.cells else []
    behind = names[names.index("class_pairs") + 1 :] if names else []
    known = {name for name in behind if any(row.numbers[name] is not None for row in results.cells)}
    parts = {f"{name}{end}" for _, name, _ in MEASURED for end in ("", "_low", "_high")} | {"cells"}
    others = [(name.replace("_", " "), name, "number") for name in behind if name in known - parts]
    return (*(column for column in MEASURED if column[1] in known), *others)


def data_uri(png: bytes) -> str:
    """A picture that needs no file."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
