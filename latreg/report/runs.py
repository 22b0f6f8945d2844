"""Finished searches as they lie on disk: which cell of the study each belongs to, and its rows without images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from latreg.config import purpose_in
from latreg.errors import LatregError
from latreg.interfaces import CHOSEN_FROM, BoundaryRecord, Source, flags_of
from latreg.json_files import read_json
from latreg.measures.metrics import HELD_OUT
from latreg.measures.waiting import first_faults
from latreg.names import check_name
from latreg.report.results import CHOSEN
from latreg.runs import records
from latreg.runs.cell import Cell
from latreg.runs.folder import flatten, read_config, read_status
from latreg.runs.pairs import by_source, read_pairs

_COMPARED = ("dataset.", "strategy.", "truncation.")  # groups of settings in which the cells of a study differ

Column = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Columns of records, one row per source; a flag is 0 or 1, None is nan."""

    run: Column  # number of the run, in the order in which runs were read
    row: Column  # number of the row in it
    label: Column
    z_seed: Column
    accepted: Column
    confident: Column  # the stratum
    chosen: Column  # no drawn source, but one that was chosen because the SUT is not sure of it
    queries: Column
    stopped_by_budget: Column
    flipped: Column
    valid_fault: Column
    robust_fault: Column
    stability: Column
    predicted: Column
    bracket: Column
    last_margin: Column
    first_margin: Column
    severe_margin: Column
    severe_held_out: Column
    walk_queries: Column
    stability_queries: Column
    appraisals: Column
    ssim: Column
    first_pair_kept: Column  # the judge keeps the label of the first pair that the search reported
    first_valid: Column  # queries until the first valid fault, inf = there is none
    first_robust: Column
    flags: Mapping[str, Column]  # of the gates, by their names

    def __len__(self) -> int:
        return len(self.label)

    def where(self, index: NDArray[Any]) -> Self:
        """The rows that a mask or an array of positions names."""
        flags = {name: column[index] for name, column in self.flags.items()}
        return replace(self, flags=flags, **{name: getattr(self, name)[index] for name in _COLUMNS})

    def with_flags(self, names: Sequence[str]) -> Self:
        """With exactly these flags; one that no gate of the run raised is nan."""
        unknown = np.full(len(self), np.nan)
        return replace(self, flags={name: self.flags.get(name, unknown) for name in names})

    def sources(self) -> list[tuple[int, int]]:
        """Class and z_seed of each row."""
        return list(zip(self.label.astype(int).tolist(), self.z_seed.astype(int).tolist(), strict=True))

    def paired(self, other: Self) -> tuple[Self, Self]:
        """The rows of the sources that both have, in one order."""
        positions = [{source: i for i, source in enumerate(rows.sources())} for rows in (self, other)]
        common = sorted(positions[0].keys() & positions[1].keys())
        first, second = (np.array([where[source] for source in common], dtype=int) for where in positions)
        return self.where(first), other.where(second)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All rows of several, in their order."""
        flags = {name: np.concatenate([part.flags[name] for part in parts]) for name in parts[0].flags}
        return cls(flags=flags, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS})


def in_stratum(rows: Rows, stratum: str) -> NDArray[np.bool_]:
    """Which rows are of a stratum; `all` is one too."""
    mask: NDArray[np.bool_] = rows.confident == (stratum == "confident")
    return mask | (stratum == "all")


_COLUMNS = [f.name for f in fields(Rows) if f.name != "flags"]
_MADE = (  # the others are read
    *("run", "row", "confident", "chosen", "severe_held_out"),
    *("first_pair_kept", "first_valid", "first_robust"),
)
_READ = [name for name in _COLUMNS if name not in _MADE]


def read_rows(run_dir: Path, number: int, first_z_seed: int) -> Rows:
    """The columns of a run whose drawn sources begin at first_z_seed.

    Raises:
        LatregError: the records are missing, damaged or of another version.
    """
    flags = flags_of(records.measured_columns(run_dir))
    behind = [f"severe_{HELD_OUT}"] if HELD_OUT in flags else []
    table = records.read_columns(run_dir, [*_READ, *flags, *behind, "stratum"])
    columns = {name: table.column(name).cast(pa.float64()).to_numpy() for name in (*_READ, *flags, *behind)}
    stratum = np.array(table.column("stratum").to_pylist(), dtype=object)
    n = len(stratum)
    confident = (stratum == "confident").astype(float)
    chosen = (columns["z_seed"] >= first_z_seed + CHOSEN_FROM).astype(float)
    places = {"run": np.full(n, float(number)), "row": np.arange(n, dtype=float)}
    raised = {flag: columns.pop(flag) for flag in flags}
    columns.setdefault("severe_held_out", np.full(n, np.nan))
    columns |= _of_pairs(run_dir, columns)
    return Rows(**places, confident=confident, chosen=chosen, flags=raised, **columns)


def _of_pairs(run_dir: Path, columns: Mapping[str, Column]) -> dict[str, Column]:
    """What all pairs that a search reported say of each source; nan where that is not known."""
    pairs = by_source(read_pairs(run_dir, records.part_paths(run_dir)))
    own = [pairs.get(Source(int(c), int(z)), []) for c, z in zip(columns["label"], columns["z_seed"], strict=True)]
    kept = [found[0].measured.get("label_kept") if found else None for found in own]
    flags = zip(columns["valid_fault"], columns["robust_fault"], strict=True)
    times = [
        first_faults(found, valid == 1, None if np.isnan(robust) else robust == 1)
        for found, (valid, robust) in zip(own, flags, strict=True)
    ]
    first_valid, first_robust = np.array(times, dtype=float).reshape(-1, 2).T
    first_pair_kept = np.array([np.nan if flag is None else float(flag) for flag in kept])
    return {"first_pair_kept": first_pair_kept, "first_valid": first_valid, "first_robust": first_robust}


@dataclass(frozen=True, eq=False)
class Run:
    """One finished search."""

    path: Path
    cell: Cell
    config: Mapping[str, Any]
    status: Mapping[str, Any]
    metrics: Mapping[str, Any]
    command: str
    rows: Rows

    def records(self, numbers: Sequence[int]) -> list[BoundaryRecord]:
        """Rows with their images, which must be of the size that the configuration says."""
        side, channels = (self.config["dataset"].get(key) for key in ("resolution", "channels"))
        known = isinstance(side, int) and isinstance(channels, int)
        return records.read_rows(self.path, numbers, (channels, side, side) if known else None)


@dataclass(frozen=True, eq=False)
class Study:
    """All runs by cell, in the order in which they are shown, and what a reader should know of them."""

    runs: Sequence[Run]
    cells: Mapping[Cell, Rows]  # of drawn sources
    chosen: Mapping[Cell, Rows]  # of chosen ones
    notes: Sequence[str]

    @property
    def flags(self) -> list[str]:
        """Of the gates of all runs."""
        return list(self.runs[0].rows.flags)

    def repetitions(self, cell: Cell) -> list[int]:
        """The run_seeds of a cell's runs."""
        return sorted({run.config.get("run_seed", 0) for run in self.runs if run.cell == cell})

    def rows(self, cell: Cell, stratum: str = "all") -> Rows:
        """The rows of a cell in a stratum; `all` are the drawn sources."""
        if stratum == CHOSEN:
            return self.chosen[cell]
        rows = self.cells[cell]
        return rows.where(in_stratum(rows, stratum))


def read_study(paths: Sequence[Path]) -> Study:
    """Every finished search in and below these folders.

    Unfinished runs and those of other stages are left out, which a note says.

    Raises:
        LatregError: there is no finished search, its files cannot be read or are of another version, or a drawn source
            is there twice under the same settings.
    """
    folders = find_runs(paths)
    notes: list[str] = []
    runs: list[Run] = []
    for folder in folders:
        config, status = read_config(folder), read_status(folder)
        if reason := _left_out(config, status):
            notes.append(f"Left out: {short(folder)} {reason}.")
        else:
            runs.append(_read_run(folder, config, status, len(runs)))
    if not runs:
        reasons = " ".join(notes).replace("Left out: ", "") or "there are no runs at all"
        raise LatregError(f"expected finished searches in {_listed(paths)}, but {reasons}")
    flags = list(dict.fromkeys(name for run in runs for name in run.rows.flags))
    runs = _with_variants([replace(run, rows=run.rows.with_flags(flags)) for run in runs])
    notes += _uneven(runs)
    ordered = sorted({run.cell for run in runs}, key=lambda cell: cell.order)
    found = {cell: _pooled([run for run in runs if run.cell == cell]) for cell in ordered}
    cells, chosen = ({cell: rows.where(rows.chosen == flag) for cell, rows in found.items()} for flag in (0, 1))
    study = Study(runs, cells, chosen, notes + _other_sources(cells))
    return replace(study, notes=[*study.notes, *_repeated(study), *_not_robust(study)])


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """The folders with a status.json, in and below the given ones, each once.

    Raises:
        LatregError: a path is no folder.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            raise LatregError(f"expected a run's folder, or one that holds runs, got {path}, which is not a folder")
        for status in sorted(path.rglob("status.json"), key=_natural):
            found.setdefault(status.parent.resolve(), status.parent)
    return list(found.values())


def _natural(path: Path) -> list[tuple[int, str]]:
    """Job 10 comes after job 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in path.parts]


def short(folder: Path) -> str:
    """The end of a path, which names a run without naming the machine."""
    return "/".join(folder.resolve().parts[-3:])


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


def _left_out(config: Mapping[str, Any], status: Mapping[str, Any]) -> str | None:
    if config.get("stage", "search") != "search":
        return f"is no search but a {str(config['stage'])[:100]}"
    if not config:
        return "has no config.yaml"
    if (state := status.get("state")) != "done":
        return f"is not finished (its state is {state})"
    return None


def _read_run(folder: Path, config: dict[str, Any], status: dict[str, Any], number: int) -> Run:
    try:
        _check_used(config)
        cell = Cell.of(config)
        for key in ("first_z_seed", "z_seed_stride"):
            _typed({"search": {key: 0} | config["search"]}, "search", key, int)
        _typed({"": {"run_seed": 0} | config}, "", "run_seed", int)
    except KeyError as error:
        raise LatregError(f"expected the configuration of a search in {folder}, but it has no {error}") from error
    except LatregError as error:
        raise LatregError(f"expected the configuration of a search in {folder}, but {error}") from error
    try:
        metrics = read_json(folder / "metrics.json")
    except LatregError as error:
        raise LatregError(f"expected the metrics.json of a finished search in {folder}, but: {error}") from error
    if not isinstance(metrics, dict):
        raise LatregError(f"expected the metrics.json of a finished search in {folder}, but it has no names")
    rows = read_rows(folder, number, _first_z_seed(config))
    _check_rows(rows, len(config["dataset"]["class_names"]), folder)
    return Run(folder, cell, config, status, metrics, status.get("command") or "", rows)


def _check_used(config: Mapping[str, Any]) -> None:
    """Refuse other types than those of the schema in what a report shows, and names that are no names of files."""
    for group in ("dataset", "strategy"):
        check_name(f"{group}.name", config[group]["name"])
    for key in ("mode", "center", *(["direction"] if config["truncation"]["mode"] == "adaptive" else [])):
        _typed(config, "truncation", key, str)
    if not isinstance(psi := config["truncation"].get("psi"), int | float | None):
        raise LatregError(f"truncation.psi must be a number, got {str(psi)[:100]}")
    _typed(config, "search", "max_queries_per_source", int)
    for group, key in (("dataset", "class_names"), ("validity", "gates")):
        if not all(isinstance(name, str) for name in _typed(config, group, key, list)):
            raise LatregError(f"{group}.{key} must be a list of names")


def _typed(config: Mapping[str, Any], group: str, key: str, kind: type) -> Any:
    value = config[group][key]
    if not isinstance(value, kind):
        raise LatregError(f"{group}.{key} must be of type {kind.__name__}, got {str(value)[:100]}")
    return value


def _check_rows(rows: Rows, classes: int, folder: Path) -> None:
    """Refuse rows of other classes than the run's, and flips without an answer."""
    flips = rows.where(rows.flipped == 1)
    labels = np.concatenate([rows.label, flips.predicted])
    if not ((labels >= 0) & (labels < classes)).all():
        raise LatregError(f"expected records of the {classes} classes that config.yaml names in {folder}, got others")


def _first_z_seed(config: Mapping[str, Any]) -> int:
    search = config["search"]
    first: int = search.get("first_z_seed", 0) + config.get("run_seed", 0) * search.get("z_seed_stride", 0)
    return first


# ---- runs that differ


def _settings(run: Run) -> dict[str, Any]:
    """The flat settings that decide how a source is searched, and the weights."""
    flat = {
        key: repr(value)
        for key, value in flatten(run.config, ".").items()
        if not purpose_in(key, run.config).free_in_repetitions
    }
    flat |= _own_run_seed(run.config)
    return flat | {f"weights.{name}": str(id_)[:12] for name, id_ in run.status.get("weights", {}).items()}


def _own_run_seed(config: Mapping[str, Any]) -> dict[str, str]:
    """Runs of several run_seeds are alike if each draws its own sources with it, and its partners too."""
    own, partners = config.get("run_seed", 0), config["strategy"].get("run_seed")
    names = {} if config["search"].get("z_seed_stride") == 0 else {"run_seed": "any"}
    return names | ({"strategy.run_seed": "run_seed"} if partners in (own, None) else {})


def _varying(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys in which they differ."""
    keys = sorted({key for one in settings for key in one})
    return [key for key in keys if len({one.get(key) for one in settings}) > 1]


def _with_variants(runs: Sequence[Run]) -> list[Run]:
    """Runs of one cell that differ in some other setting become variants of it."""
    named: list[Run] = []
    for run in runs:
        settings = [_settings(r) for r in runs if r.cell == run.cell]
        own = _settings(run)
        variant = ", ".join(f"{key}={own.get(key)}" for key in _varying(settings))
        named.append(replace(run, cell=replace(run.cell, variant=variant)))
    return named


def _uneven(runs: Sequence[Run]) -> list[str]:
    """Notes on settings in which runs of a data set differ beside what is compared, one for all that are alike."""
    found: dict[str, list[str]] = {}
    for dataset in dict.fromkeys(run.cell.dataset for run in runs):
        settings = [_settings(run) for run in runs if run.cell.dataset == dataset]
        values = {key: sorted({str(one.get(key)) for one in settings}) for key in _varying(settings)}
        differing = [f"{key} ({', '.join(of)})" for key, of in values.items() if not key.startswith(_COMPARED)]
        if differing:
            found.setdefault(", ".join(differing), []).append(dataset)
    return [f"Runs of {', '.join(of)} differ in {what}: compare with care." for what, of in found.items()]


def _pooled(runs: Sequence[Run]) -> Rows:
    """The rows of the runs of one cell.

    Runs that draw different sources may choose the same ones: a chosen source counts once, as the first run has it.

    Raises:
        LatregError: a drawn source is there twice.
    """
    drawn: dict[tuple[int, int], Run] = {}
    chosen: set[tuple[int, int]] = set()
    parts: list[Rows] = []
    for run in runs:
        kept = np.ones(len(run.rows), dtype=bool)
        for i, source in enumerate(run.rows.sources()):
            if run.rows.chosen[i]:
                kept[i] = source not in chosen
                chosen.add(source)
            elif source in drawn:
                raise LatregError(
                    f"expected each source once under the same settings, but class {source[0]}, z_seed {source[1]} "
                    f"is in {drawn[source].path} and in {run.path}: give one of them"
                )
            else:
                drawn[source] = run
        parts.append(run.rows.where(kept))
    return Rows.joined(parts)


def _repeated(study: Study) -> list[str]:
    """A note for each data set and set of run_seeds that cells of it pool."""
    pooled = Counter((cell.dataset, tuple(study.repetitions(cell))) for cell in study.cells)
    return [
        f"Runs of {dataset} that differ only in run_seed ({', '.join(map(str, seeds))})"
        f" are pooled, in {cells} of its cells."
        for (dataset, seeds), cells in pooled.items()
        if len(seeds) > 1
    ]


def all_queries(rows: Rows) -> Column:
    """All that the SUT was asked for a source: by the search, walks to more severe points among it, and with noise."""
    return rows.queries + np.nan_to_num(rows.stability_queries)


def robust_faults(rows: Rows) -> Column:
    """1 where a source has a robust fault, else 0; all nan where that is not known of each valid fault."""
    robust = np.where(rows.valid_fault == 1, rows.robust_fault, 0.0)
    measured = not len(rows) or not np.isnan(rows.robust_fault).all()
    return robust if measured and not np.isnan(robust).any() else np.full(len(rows), np.nan)


def _not_robust(study: Study) -> list[str]:
    """A note for each data set with cells of which it is not known which valid faults are robust."""
    unknown = Counter(cell.dataset for cell, rows in study.cells.items() if np.isnan(robust_faults(rows)).any())
    return [
        f"In {count} cells of {dataset} it was not measured which faults are robust."
        for dataset, count in unknown.items()
    ]


def _other_sources(cells: Mapping[Cell, Rows]) -> list[str]:
    """A note for each data set whose cells do not have the same sources."""
    sources: dict[str, set[frozenset[tuple[int, int]]]] = {}
    for cell, rows in cells.items():
        sources.setdefault(cell.dataset, set()).add(frozenset(rows.sources()))
    return [
        f"Cells of {dataset} have different sources; paired comparisons use those that both have."
        for dataset, sets in sources.items()
        if len(sets) > 1
    ]
