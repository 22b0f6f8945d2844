"""The rows of the result tables, typed. In the files a row is flat: its cell stands in it as columns or by its name."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from latreg.runs.cell import Cell

Raw = dict[str, Any]  # a row as it is written and read
Numbers = Mapping[str, Any]  # counts, rates, costs: int, float, or None = not defined or not measured

RUNS = Path("RUNS")  # stands for the folder of all runs, where results do not tell it
_CELL = [column.name for column in fields(Cell)]


def _cell_of(raw: Raw) -> Cell:
    """The cell from its columns; of old results those that are empty are None."""
    columns: Raw = {name: raw[name] or "" for name in _CELL}
    return Cell(**columns | {"psi": None if raw["psi"] is None else float(raw["psi"])})


@dataclass(frozen=True)
class CellRow:
    """A cell in one stratum, with its numbers by name; those of metrics.json have the names that they have there."""

    cell: Cell
    stratum: str
    numbers: Numbers

    def raw(self) -> Raw:
        """As columns."""
        return {**asdict(self.cell), "stratum": self.stratum, **self.numbers}

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From columns."""
        numbers = {name: value for name, value in raw.items() if name not in (*_CELL, "stratum")}
        return cls(_cell_of(raw), raw["stratum"], numbers)


@dataclass(frozen=True)
class _OfCell:
    """A cell and some columns."""

    cell: Cell

    def raw(self) -> Raw:
        """As columns."""
        return asdict(self.cell) | {column.name: getattr(self, column.name) for column in fields(self)[1:]}

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From columns."""
        columns = [column for column in fields(cls)[1:] if column.default is MISSING or column.name in raw]
        return cls(_cell_of(raw), **{column.name: raw[column.name] for column in columns})


@dataclass(frozen=True)
class BudgetRow(_OfCell):
    """A point of a budget curve: what so many sources have cost and given."""

    sources: int
    queries: int
    valid_faults: int
    robust_faults: int | None = None  # None = not measured, as in older results

    def faults(self, kind: str) -> int:
        """How many of a kind, valid or robust."""
        return (self.robust_faults or 0) if kind == "robust" else self.valid_faults


@dataclass(frozen=True)
class ClassRow(_OfCell):
    """How many flips of a cell go from one class to another."""

    label: int
    predicted: int
    flipped: int
    valid_faults: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One measure of two cells of a data set: what was measured, the effect with its interval, the test.

    claim, p_holm and family are 0 and None until a claim has taken it up.
    """

    claim: int = 0
    primary: bool = False  # it decides the claim
    dataset: str
    stratum: str
    measure: str
    first: Cell
    second: Cell
    n_first: int
    n_second: int
    value_first: float
    value_second: float
    effect_name: str
    effect: float
    low: float | None
    high: float | None
    a12: float | None
    cliffs_delta: float | None
    test: str
    p: float | None
    p_holm: float | None = None
    family: int = 0  # comparisons that Holm's correction is over, 0 = it is not tested

    def raw(self) -> Raw:
        """As columns; the cells by their names."""
        row = {column.name: getattr(self, column.name) for column in fields(self)}
        return row | {"first": self.first.name, "second": self.second.name}

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From columns; others are passed over.

        Raises:
            LatregError: a cell has no name of one.
        """
        cells = {side: Cell.parse(raw["dataset"], raw[side]) for side in ("first", "second")}
        return cls(**{column.name: raw[column.name] for column in fields(cls)} | cells)


@dataclass(frozen=True)
class Answer:
    """What a data set says about a claim."""

    dataset: str
    verdict: str
    primary: Sequence[Comparison]  # those that decide

    def raw(self) -> Raw:
        """As nested containers."""
        return {"dataset": self.dataset, "verdict": self.verdict, "primary": [row.raw() for row in self.primary]}

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From nested containers."""
        return cls(raw["dataset"], raw["verdict"], [Comparison.read(row) for row in raw["primary"]])


@dataclass(frozen=True)
class ClaimRow:
    """A claim with its verdict."""

    number: int
    source: str
    statement: str
    measured: str
    verdict: str
    datasets: Sequence[Answer]
    others: int  # comparisons that do not decide

    def raw(self) -> Raw:
        """As nested containers."""
        row = {column.name: getattr(self, column.name) for column in fields(self)}
        return row | {"datasets": [answer.raw() for answer in self.datasets]}

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From nested containers."""
        return cls(**raw | {"datasets": [Answer.read(answer) for answer in raw["datasets"]]})


@dataclass(frozen=True, kw_only=True)
class People:
    """What people said of pictures of a data set: the numbers of `latreg.agreement`, without their names."""

    dataset: str
    pictures: int
    answered: int
    annotators: Sequence[Raw]
    cells: Mapping[str, Raw]  # by their names; `all` and `robust` are the faults of all of them
    pairs: Sequence[Raw]
    krippendorff_alpha: Numbers
    judge: Numbers
    sut: Numbers

    def raw(self) -> Raw:
        """As nested containers."""
        return {column.name: getattr(self, column.name) for column in fields(self)}

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From nested containers."""
        return cls(**{column.name: raw[column.name] for column in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A pair of the gallery. Its cell has no psi of its own in the files: it is that of the source."""

    cell: Cell
    psi: float | None  # of the first wrong image
    source_psi: float
    label: int
    predicted: int
    z_seed: int
    layers: Sequence[int] | None
    alpha: float | None
    p_source: float
    p_last: float | None
    p_first: float | None
    ssim: float | None
    flags: Mapping[str, bool | None]  # of the gates
    valid_fault: bool
    png: str = field(repr=False)  # base64
    alike: int  # it stands for so many ..
    of: int  # .. of so many
    robust_fault: bool | None = None  # None = not measured, as in older results
    p_severe: float | None = None
    run: str = ""  # folder of its run, as it was given or below RUNS; "" in older results
    command: str = ""  # that started the run

    def raw(self) -> Raw:
        """As columns."""
        cell = asdict(self.cell)
        names = ("dataset", "strategy", "truncation", "psi", "source_psi", "center", "variant")
        row: Raw = {}
        for column in fields(self)[1:]:
            row |= self.flags if column.name == "flags" else {column.name: getattr(self, column.name)}
        return {name: row.get(name, cell.get(name)) for name in names} | row

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From columns."""
        psi = {"none": 1.0, "fixed": raw["source_psi"]}.get(raw["truncation"])
        names = [column.name for column in fields(cls)[1:] if column.name != "flags"]
        flags = {name: flag for name, flag in raw.items() if name not in (*names, *_CELL)}
        known = {column.name: column.default for column in fields(cls) if column.default is not MISSING} | raw
        return cls(cell=_cell_of(raw | {"psi": psi}), flags=flags, **{name: known[name] for name in names})
