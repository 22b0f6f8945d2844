"""The figures of a study from its results, as matplotlib figures that are the same to the byte each time."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from PIL import Image

from latreg.report import text
from latreg.report.digest import fault_kind
from latreg.report.marks import Chart, say
from latreg.report.results import Results
from latreg.report.rows import BudgetRow, CellRow, ClassRow, Numbers
from latreg.runs.cell import Cell

CENTERS = ("global", "class")
UNCROWDED = 5  # places on an axis whose names do not touch
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "latreg",
}
# Okabe and Ito's colours, which people with colour blindness can tell apart; markers say the same again.
LOOKS = {"sampling": ("#767676", "s"), "random": ("#D55E00", "o"), "mixing": ("#0072B2", "D"), "hunt": ("#009E73", "^")}
_MORE = (("#CC79A7", "v"), ("#E69F00", "P"), ("#56B4E9", "X"))
GATE_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")  # in the gates' order
ALL_GATES = "#000000"
GATE_NAMES = {"screened": "similar to the source", "all_gates": "all of them"}  # others are called as they are


def draw(results: Results) -> dict[str, Chart]:
    """All figures by name; one that has nothing to show is left out."""
    figures: dict[str, Chart] = {}
    with rc_context(STYLE):
        for dataset in results.study["datasets"]:
            for name, make in FIGURES.items():
                if (figure := make(results, dataset)) is not None:
                    figures[f"{name}_{dataset}"] = figure
    return figures


def render(figure: Figure, kind: str) -> bytes:
    """A figure as the bytes of a png or pdf file, without a date; a png has 256 colours, which it hardly exceeds."""
    file = io.BytesIO()
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
    with rc_context(STYLE):
        figure.savefig(file, format=kind, dpi=160, metadata=metadata[kind])
    return _with_palette(file) if kind == "png" else file.getvalue()


def _with_palette(png: io.BytesIO) -> bytes:
    """A third of the size."""
    file = io.BytesIO()
    picture = Image.open(png).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()


# ---- what is drawn


AnyRow = TypeVar("AnyRow", CellRow, BudgetRow, ClassRow)


def _of(table: Sequence[AnyRow], dataset: str) -> list[AnyRow]:
    """The rows of a data set."""
    return [row for row in table if row.cell.dataset == dataset]


def _cells(results: Results, dataset: str) -> list[CellRow]:
    """The cells of a data set, with all their drawn sources."""
    return [row for row in _of(results.cells, dataset) if row.stratum == "all"]


def _panel(table: Sequence[AnyRow], center: str, series: str | None = None) -> list[AnyRow]:
    """The rows of a center, and of one series, where one is named."""
    return [row for row in table if row.cell.center == center and series in (None, row.cell.series)]


def _series_of(table: Sequence[AnyRow]) -> list[str]:
    """Variants by other settings are drawn as strategies of their own."""
    return list(dict.fromkeys(row.cell.series for row in table))


def look(strategy: str, strategies: Sequence[str]) -> tuple[str, str]:
    """Colour and marker."""
    others = [name for name in strategies if name not in LOOKS]
    return LOOKS[strategy] if strategy in LOOKS else _MORE[others.index(strategy) % len(_MORE)]


class _Truncations:
    """Where a truncation stands on the x axis: psi, and behind it the adaptive ones."""

    def __init__(self, table: Sequence[CellRow]) -> None:
        cells = [row.cell for row in table]
        self.psis = sorted({cell.psi for cell in cells if cell.psi is not None})
        self.adaptive = list(dict.fromkeys(cell.truncation_name for cell in cells if cell.psi is None))

    def place(self, cell: Cell) -> int:
        """Equal steps: psi is not drawn to scale."""
        if cell.psi is not None:
            return self.psis.index(cell.psi)
        return len(self.psis) + self.adaptive.index(cell.truncation_name)

    def label(self, axes: Axes) -> None:
        crowded = len(self.psis) + len(self.adaptive) > UNCROWDED
        lines = ["\n" * (crowded and number % 2 == 0) for number in range(len(self.adaptive))]
        names = [f"{psi:g}" for psi in self.psis] + [a + b for a, b in zip(lines, self.adaptive, strict=True)]
        axes.set_xticks(range(len(names)), names, fontsize=6.5 if crowded else 8)
        axes.set_xlim(-0.5, len(names) - 0.5)
        if self.adaptive and self.psis:
            axes.axvline(len(self.psis) - 0.5, color="#999999", linewidth=0.8)
        axes.set_xlabel("psi (1 = no truncation)" + (" | adaptive" if self.adaptive else ""))


def _panels(rows: int, columns: int, title: str, height: float = 2.7) -> tuple[Chart, np.ndarray]:
    figure = Chart(figsize=(7.2, height * rows + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=10, fontweight="bold")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _series(
    axes: Axes, table: Sequence[CellRow], places: _Truncations, name: str, looks: tuple[str, str], shift: float
) -> None:
    """Points with intervals; those over psi are joined by a line."""
    shown = text.rate if name.endswith("_rate") else text.value
    colour, marker = looks
    known = [row for row in table if row.numbers[name] is not None]
    for joined in (True, False):
        part = [row for row in known if (row.cell.psi is not None) is joined]
        part.sort(key=lambda row: places.place(row.cell))
        x = [places.place(row.cell) + shift for row in part]
        y = [row.numbers[name] for row in part]
        bounds = [_lengths(row.numbers, name) for row in part]
        axes.errorbar(
            *(x, y), np.maximum(np.array(bounds).reshape(-1, 2).T, 0), color=colour, marker=marker, markersize=4,
            linestyle="-" if joined else "none", linewidth=1.2, elinewidth=0.8, capsize=2,
        )  # fmt: skip
        for row, left, up in zip(part, x, y, strict=True):
            say(axes, left, up, f"{row.cell.name}: {shown(row.numbers, name)}")


def _lengths(numbers: Numbers, name: str) -> tuple[float, float]:
    """Of the bars of an interval below and above its point; 0 where there is none."""
    point, low, high = (numbers[f"{name}{end}"] for end in ("", "_low", "_high"))
    return point - _or(low, point), _or(high, point) - point


def _say_if_empty(axes: Axes, runs: Sequence[object]) -> None:
    """An empty panel may look like one in which nothing was found."""
    if not runs:
        axes.text(0.5, 0.5, "no runs", transform=axes.transAxes, ha="center", color="#767676")


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _shifts(count: int) -> Iterator[float]:
    return iter(np.linspace(-0.18, 0.18, count) if count > 1 else [0.0])


def _key(figure: Figure, strategies: Sequence[str], more: Iterable[Line2D | Patch] = ()) -> None:
    """One legend for all panels."""
    handles = []
    for name in strategies:
        colour, marker = look(name, strategies)
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=4, label=name))
    figure.legend(handles=[*handles, *more], loc="outside lower center", ncols=6)


def _yield(results: Results, dataset: str) -> Chart | None:
    """Flips and faults per source against psi, for both centers."""
    table = _cells(results, dataset)
    if not table:
        return None
    places, strategies = _Truncations(table), _series_of(table)
    kind = fault_kind(table)
    figure, panels = _panels(2, 2, f"{dataset}: flips and {kind} faults per source")
    for row, (name, what) in enumerate((("flipped_rate", "flips"), (f"{kind}_rate", f"{kind} faults"))):
        for column, center in enumerate(CENTERS):
            axes = panels[row, column]
            for strategy, shift in zip(strategies, _shifts(len(strategies)), strict=True):
                own = _panel(table, center, strategy)
                _series(axes, own, places, name, look(strategy, strategies), shift)
            _say_if_empty(axes, _panel(table, center))
            axes.set_title(f"{what}, {center} center")
            places.label(axes)
            axes.set_ylabel(f"{what} per source" if column == 0 else "")
        _share_y(panels[row])
    _key(figure, strategies)
    return figure


def _share_y(panels: Iterable[Axes], percent: bool = True) -> None:
    """One scale from just below 0, so that points on it are whole."""
    axes = list(panels)
    top = max(one.get_ylim()[1] for one in _filled(axes))
    for one in axes:
        one.set_ylim(-0.03 * top, top)
        if percent:
            one.yaxis.set_major_formatter(PercentFormatter(1, decimals=0 if top > 0.1 else 1))


def _filled(panels: Sequence[Axes]) -> Sequence[Axes]:
    """Those that show something, whose limits suit it; all of them where none does."""
    return [axes for axes in panels if np.isfinite(axes.dataLim.get_points()).all()] or panels


def _cost(results: Results, dataset: str) -> Chart | None:
    """Sources and queries per fault."""
    table = _cells(results, dataset)
    kind = fault_kind(table)
    if not any(row.numbers[f"{kind}_faults"] for row in table):
        return None
    places, strategies = _Truncations(table), _series_of(table)
    figure, panels = _panels(2, 2, f"{dataset}: what a {kind} fault costs (no point = none was found)")
    for row, what in enumerate(("sources", "queries")):
        for column, center in enumerate(CENTERS):
            axes = panels[row, column]
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter("{x:,.0f}")
            axes.yaxis.set_minor_formatter(NullFormatter())
            for strategy, shift in zip(strategies, _shifts(len(strategies)), strict=True):
                own = _panel(table, center, strategy)
                _series(axes, own, places, f"{what}_per_{kind}_fault", look(strategy, strategies), shift)
            _say_if_empty(axes, _panel(table, center))
            axes.set_title(f"{what} per {kind} fault, {center} center")
            places.label(axes)
            axes.set_ylabel(f"{what} per {kind} fault" if column == 0 else "")
        limits = [axes.get_ylim() for axes in _filled(panels[row])]
        for axes in panels[row]:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    _key(figure, strategies)
    return figure


def _budget(results: Results, dataset: str) -> Chart | None:
    """Faults against queries, without truncation and with that which found most."""
    table = _of(results.budget, dataset)
    kind = fault_kind(_cells(results, dataset))
    if not any(row.faults(kind) for row in table):
        return None
    strategies = _series_of(table)
    figure, panels = _panels(1, 2, f"{dataset}: {kind} faults against queries", height=3.0)
    for column, center in enumerate(CENTERS):
        axes = panels[0, column]
        for strategy in strategies:
            colour, marker = look(strategy, strategies)
            own = _panel(table, center, strategy)
            for curve in _curves(own, kind):
                style = "-" if curve[0].cell.truncation == "none" else "--"
                x, y = [row.queries for row in curve], [row.faults(kind) for row in curve]
                axes.plot(x, y, style, color=colour, linewidth=1.3)
                axes.plot(x[-1:], y[-1:], marker, color=colour, markersize=5)
                for row, left, up in zip(curve, x, y, strict=True):
                    say(axes, left, up, f"{row.cell.name}: {up:,} faults after {left:,} queries")
                if style == "--":
                    name = curve[0].cell.truncation_name
                    axes.annotate(name, (x[-1], y[-1]), xytext=(4, -3), textcoords="offset points", fontsize=7)
        axes.set_xscale("symlog", linthresh=100)
        _say_if_empty(axes, _panel(table, center))
        axes.set_title(f"{center} center")
        axes.set_xlabel("queries (log scale)")
        axes.set_ylabel(f"{kind} faults" if column == 0 else "")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.18)  # room for a name behind the end of a curve
    _share_y(panels[0], percent=False)
    styles = [
        Line2D([], [], color="#444444", linestyle="-", label="no truncation"),
        Line2D([], [], color="#444444", linestyle="--", label="best truncation"),
    ]
    _key(figure, strategies, styles)
    return figure


def _curves(table: Sequence[BudgetRow], kind: str) -> list[list[BudgetRow]]:
    """The curve without truncation, and that with most faults where it is another one."""
    curves: dict[Cell, list[BudgetRow]] = {}
    for row in table:
        curves.setdefault(row.cell, []).append(row)
    plain = [curve for cell, curve in curves.items() if cell.truncation == "none"]
    best = max(curves.values(), key=lambda curve: curve[-1].faults(kind), default=[])
    more = [best] if best and best not in plain and best[-1].faults(kind) else []
    return plain + more


def _validity(results: Results, dataset: str) -> Chart | None:
    """Flips of each cell, and how many of them pass each gate."""
    table = _cells(results, dataset)
    if not any(row.numbers["flipped"] for row in table):
        return None
    places = _Truncations(table)
    strategies = _series_of([row for row in table if row.numbers["flipped"]])
    colours = dict(zip(results.gates, cycle(GATE_COLOURS), strict=False)) | {"all_gates": ALL_GATES}
    colours = {gate: of for gate, of in colours.items() if any(row.numbers[gate] is not None for row in table)}
    figure, panels = _panels(len(strategies), 2, f"{dataset}: flips, and those of them that pass each gate", height=2.3)
    for row, strategy in enumerate(strategies):
        for column, center in enumerate(CENTERS):
            axes = panels[row, column]
            for found in _panel(table, center, strategy):
                _bars(axes, found, places.place(found.cell), colours)
            _say_if_empty(axes, _panel(table, center, strategy))
            axes.set_title(f"{strategy}, {center} center")
            places.label(axes)
            axes.set_ylabel("per source" if column == 0 else "")
        _share_y(panels[row])
    handles = [
        Patch(color="#D0D0D0", label="flips"),
        *(Patch(color=colours[gate], label=_gate_name(gate)) for gate in colours),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _bars(axes: Axes, row: CellRow, place: float, colours: Mapping[str, str]) -> None:
    numbers = row.numbers
    axes.bar(place, numbers["flipped"] / numbers["sources"], 0.86, color="#D0D0D0")
    width = 0.76 / len(colours)
    for number, (gate, colour) in enumerate(colours.items()):
        left, height = place - 0.38 + (number + 0.5) * width, (numbers[gate] or 0) / numbers["sources"]
        axes.bar(left, height, width * 0.9, color=colour)
        say(axes, left, height, f"{row.cell.name}: {_of_flips(row, gate)}")


def _of_flips(row: CellRow, gate: str) -> str:
    passed = "not measured" if row.numbers[gate] is None else f"{row.numbers[gate]:,}"
    return f"{_gate_name(gate)}: {passed} of {row.numbers['flipped']:,} flips"


def _gate_name(gate: str) -> str:
    return GATE_NAMES.get(gate, gate.replace("_", " "))


def _classes(results: Results, dataset: str) -> Chart | None:
    """From which class to which: flips over all truncations, for both centers."""
    table = _of(results.classes, dataset)
    strategies = [name for name in _series_of(table) if name != "sampling"] or _series_of(table)
    if not table:
        return None
    names = results.study["datasets"][dataset]["class_names"]
    figure, panels = _panels(len(strategies), 2, f"{dataset}: class of the source and answer to the flip", height=3.5)
    for row, strategy in enumerate(strategies):
        for column, center in enumerate(CENTERS):
            _matrix(panels[row, column], _panel(table, center, strategy), names)
            panels[row, column].set_title(f"{strategy}, {center} center: flips (valid), all truncations", fontsize=8)
    return figure


def _matrix(axes: Axes, table: Sequence[ClassRow], names: Sequence[str]) -> None:
    flips, valid = np.zeros((2, len(names), len(names)), dtype=int)
    for row in table:
        flips[row.label, row.predicted] += row.flipped
        valid[row.label, row.predicted] += row.valid_faults
    axes.imshow(np.sqrt(flips), cmap="Blues", vmin=0)
    for label, predicted in np.argwhere(flips):
        count, good = flips[label, predicted], valid[label, predicted]
        colour = "white" if np.sqrt(count) > 0.6 * np.sqrt(flips.max()) else "black"
        shown = f"{count}\n({good})" if good else str(count)
        axes.text(predicted, label, shown, ha="center", va="center", fontsize=6, color=colour)
        say(axes, predicted, label, f"{names[label]} → {names[predicted]}: {count} flips, {good} valid")
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("answer of the SUT")
    axes.set_ylabel("class of the source")
    axes.grid(visible=False)


FIGURES: dict[str, Callable[[Results, str], Chart | None]] = {
    "yield": _yield,
    "cost": _cost,
    "budget": _budget,
    "validity": _validity,
    "classes": _classes,
}
