"""The numbers of each cell and stratum, the budget curves and the class matrices, as rows of the result tables."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from latreg.measures import metrics
from latreg.measures.statistics import clustered_ratio, median_interval, ratio
from latreg.measures.waiting import CAPS, found_within, waits
from latreg.report.results import CHOSEN, STRATA
from latreg.report.rows import BudgetRow, CellRow, ClassRow, Raw
from latreg.report.runs import Column, Rows, Run, Study, all_queries, robust_faults

CURVE_POINTS = 20  # of a budget curve


def cell_rows(study: Study) -> list[CellRow]:
    """cells.csv: one row per cell and stratum. A number that is not defined or was not measured is None."""
    names = sorted({name for run in study.runs for name in _measured(run, "all")})
    rows: list[CellRow] = []
    for cell in study.cells:
        runs = [run for run in study.runs if run.cell == cell]
        for stratum in STRATA:
            if stratum == CHOSEN and not len(study.chosen[cell]):
                continue
            own = _measured(runs[0], stratum) if len(runs) == 1 else {}  # of several runs nobody knows it
            numbers = {"repetitions": len(runs)} | summarize(study.rows(cell, stratum))
            rows.append(CellRow(cell, stratum, numbers | {name: own.get(name) for name in names}))
    return rows


def summarize(rows: Rows) -> Raw:
    """Counts, rates with Wilson's intervals, costs and medians with bootstrap intervals."""
    flips = rows.where(rows.flipped == 1)
    n, flipped, valid = len(rows), len(flips), int(rows.valid_fault.sum())
    gates = {gate: _count(flags) for gate, flags in {**flips.flags, "all_gates": all_gates(flips)}.items()}
    counts = {"sources": n, "accepted": int(rows.accepted.sum()), "flipped": flipped, **gates, "valid_faults": valid}
    summary: Raw = dict(counts)
    summary |= _rate("accepted_rate", counts["accepted"], n) | _rate("flipped_rate", flipped, n)
    for gate in gates:
        summary |= _rate(f"{gate}_share", counts[gate], flipped)  # of the flips
    summary |= _rate("valid_rate", valid, n)
    summary |= {"queries": int(rows.queries.sum()), "stopped_by_budget": int(rows.stopped_by_budget.sum())}
    summary |= _costs("valid", rows.queries, rows.valid_fault, rows.z_seed)
    summary |= _robust(rows) | _waits(rows)
    summary |= _median("margin_median", boundary_margins(flips))
    summary |= _median("bracket_median", flips.bracket[~np.isnan(flips.last_margin)])
    summary |= _median("ssim_median", flips.ssim[~np.isnan(flips.ssim)])
    faults = rows.where(rows.valid_fault == 1)
    return summary | {"class_pairs": len(set(zip(faults.label.tolist(), faults.predicted.tolist(), strict=True)))}


def _robust(rows: Rows) -> Raw:
    """Which of the valid faults are robust, how firm they are, and what it cost to know; None = not measured."""
    robust, valid = robust_faults(rows), rows.where(rows.valid_fault == 1)
    count = _count(robust)
    summary: Raw = {"robust_faults": count} | _rate("robust_rate", count, len(rows))
    summary |= _costs("robust", all_queries(rows), np.zeros(len(rows)) if count is None else robust, rows.z_seed)
    summary |= _median("stability_median", valid.stability[~np.isnan(valid.stability)])
    summary |= _held_out("held_out_rate_of_valid", valid.flags.get(metrics.HELD_OUT))
    found = rows.where(robust == 1)
    walked = ~np.isnan(found.severe_margin)
    at_boundary = found.flags.get(metrics.HELD_OUT, found.severe_held_out)
    summary |= _held_out("held_out_rate_of_robust", np.where(walked, found.severe_held_out, at_boundary))
    summary |= _median("severe_margin_median", valid.severe_margin[~np.isnan(valid.severe_margin)])
    return summary | {name: _count(getattr(rows, name)) for name in metrics.APART}


def _waits(rows: Rows) -> Raw:
    """Queries until a first fault, of a source and of a search of them all, and shares with a robust one by then."""
    summary: Raw = {}
    for kind, first in (("valid", rows.first_valid), ("robust", rows.first_robust)):
        of_source, of_search = waits(first, rows.queries, rows.stopped_by_budget == 1)
        for name, (value, interval) in ((f"{kind}_median", of_source), (f"first_{kind}", of_search)):
            low, high = interval or (None, None)
            summary |= {f"queries_to_{name}": value, f"queries_to_{name}_low": low, f"queries_to_{name}_high": high}
    for cap in CAPS:
        count = found_within(cap, rows.first_robust, rows.queries, rows.stopped_by_budget == 1)
        summary |= _rate(f"robust_within_{cap}", count, len(rows))
    return summary


def _held_out(name: str, kept: Column | None) -> Raw:
    """The share of faults that the held-out judge keeps; None where it was not asked."""
    known = np.empty(0) if kept is None else kept[~np.isnan(kept)]
    return _rate(name, int(known.sum()), len(known))


def all_gates(flips: Rows) -> Column:
    """1 where a flip passes every gate that was measured, nan where none was; the held-out judge is none."""
    flags = np.stack([flag for name, flag in flips.flags.items() if name != metrics.HELD_OUT])
    unknown = np.isnan(flags)
    return np.where(unknown.all(0), np.nan, (unknown | (flags == 1)).all(0))


def boundary_margins(flips: Rows) -> Column:
    """max(|margin of the last|, |margin of the first|) of each pair; faults without a last image do not count."""
    sizes = np.maximum(np.abs(flips.last_margin), np.abs(flips.first_margin))
    return sizes[~np.isnan(sizes)]


def _count(flags: Column) -> int | None:
    """Their sum, of flags how many are 1; None where none of at least one is known."""
    known = flags[~np.isnan(flags)]
    return int(known.sum()) if len(known) or not len(flags) else None


def _rate(name: str, count: int | None, n: int) -> Raw:
    interval = None if count is None else metrics.wilson(count, n)
    low, high = interval or (None, None)
    return {name: None if interval is None or count is None else count / n, f"{name}_low": low, f"{name}_high": high}


def _costs(kind: str, queries: Column, faults: Column, z_seeds: Column) -> Raw:
    """Sources and queries per fault, with intervals from resampling z_seeds."""
    costs: Raw = {}
    for what, of in (("sources", np.ones(len(faults))), ("queries", queries)):
        name, found = f"{what}_per_{kind}_fault", faults.sum() > 0
        low, high = (clustered_ratio(of, faults, z_seeds) if found else None) or (None, None)
        costs |= {name: float(ratio(of, faults)) if found else None, f"{name}_low": low, f"{name}_high": high}
    return costs


def _median(name: str, values: Column) -> Raw:
    low, high = median_interval(values) or (None, None)
    return {name: float(np.median(values)) if len(values) else None, f"{name}_low": low, f"{name}_high": high}


def _measured(run: Run, stratum: str) -> Raw:
    """What only the run itself could measure, from its images: the numbers of metrics.json that rows do not give."""
    values: Any = run.metrics
    for name in () if stratum == "all" else ("strata", stratum):
        values = values.get(name) if isinstance(values, Mapping) else None
    known = metrics.summarize([], list(run.rows.flags)).keys() - {"diversity", "seconds", "queries_per_second"}
    row: Raw = {}
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if name in known:
            continue
        if name.endswith("_ci95"):
            low, high = value if _is_interval(value) else (None, None)
            row |= {name.replace("_ci95", "_low"): low, name.replace("_ci95", "_high"): high}
        elif value is None or isinstance(value, int | float):
            row[name] = value
    return row


def _is_interval(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(end, int | float) for end in value)


def budget_rows(study: Study) -> list[BudgetRow]:
    """budget.csv: faults found so far against all queries spent so far, in the order of the search."""
    rows: list[BudgetRow] = []
    for cell, found in study.cells.items():
        order = np.lexsort([found.label, found.z_seed])
        columns = (np.ones(len(found)), all_queries(found), found.valid_fault, robust_faults(found))
        sums = np.cumsum([column[order] for column in columns], axis=1)
        points = np.unique(np.linspace(0, len(order), CURVE_POINTS + 1)[1:].round().astype(int) - 1)
        curve = np.concatenate([np.zeros((4, 1)), sums[:, points[points >= 0]]], axis=1).T.tolist()
        known = not np.isnan(columns[-1]).any()
        rows += [BudgetRow(cell, int(n), int(q), int(v), int(r) if known else None) for n, q, v, r in curve]
    return rows


def class_rows(study: Study) -> list[ClassRow]:
    """classes.csv: how many flips and valid faults go from one class to another, where there are some."""
    rows: list[ClassRow] = []
    for cell, found in study.cells.items():
        flips = found.where(found.flipped == 1)
        pairs, index = np.unique(np.stack([flips.label, flips.predicted], axis=1), axis=0, return_inverse=True)
        flipped = np.bincount(index.ravel(), minlength=len(pairs))
        valid = np.bincount(index.ravel(), weights=flips.valid_fault, minlength=len(pairs))
        for (label, predicted), f, v in zip(pairs.tolist(), flipped.tolist(), valid.tolist(), strict=True):
            rows.append(ClassRow(cell, int(label), int(predicted), int(f), int(v)))
    return rows


def study_summary(study: Study) -> Raw:
    """study.json: what was compared, by which settings, and what a reader should know."""
    datasets = list(dict.fromkeys(cell.dataset for cell in study.cells))
    return {
        "runs": len(study.runs),
        "cells": len(study.cells),
        "sources": sum(len(run.rows) for run in study.runs),  # all that seconds were spent on ..
        "chosen": int(sum(run.rows.chosen.sum() for run in study.runs)),  # .. of which so many were not drawn
        "queries": int(sum(run.rows.queries.sum() for run in study.runs)),
        "seconds": round(sum(run.status.get("seconds", 0.0) for run in study.runs)),
        "datasets": {name: _dataset(study, name) for name in datasets},
        "versions": _distinct(run.status.get("versions", {}) for run in study.runs),
        "git_commits": sorted({str(run.status.get("git_commit")) for run in study.runs}),
        "commands": [run.command for run in study.runs if run.command],
        "notes": list(study.notes),
    }


def _dataset(study: Study, name: str) -> Raw:
    runs = [run for run in study.runs if run.cell.dataset == name]
    sizes = [len(rows) for cell, rows in study.cells.items() if cell.dataset == name]
    config = runs[0].config
    return {
        "class_names": config["dataset"]["class_names"],
        "sources": [min(sizes), max(sizes)],
        "queries_per_source": sorted({run.config["search"]["max_queries_per_source"] for run in runs}),
        "gates": sorted({" and ".join(run.config["validity"]["gates"]) or "none" for run in runs}),
        "weights": _distinct(run.status.get("weights", {}) for run in runs),
    }


def _distinct(mappings: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Each key with all its values."""
    found: dict[str, set[str]] = {}
    for mapping in mappings:
        for name, value in mapping.items():
            found.setdefault(name, set()).add(str(value))
    return {name: sorted(values) for name, values in found.items()}
