"""The claims that the study answers, each from the runs that are there.

A claim has one *primary* comparison per data set, registered here before the runs, which decides. All its other
comparisons (other truncations, centers, strata, measures, other notions of a fault) are reported beside it. Per data
set a claim is

    confirmed   the primary effect has the claimed direction, p below 0.05
    refuted     it has the other direction, p below 0.05
    undecided   everything else, also where runs are missing

and over all data sets confirmed or refuted only where every one of them says so. Such an intersection-union test needs
no correction over the data sets (Berger 1982). Holm's is over the primary comparisons of a claim on one data set, where
there are several, and over all its other comparisons.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from latreg.measures import statistics
from latreg.report import diversity, features
from latreg.report.comparisons import (
    APPRAISALS,
    DRIFTED,
    KEPT_FIRST,
    PER_QUERY,
    PER_SOURCE,
    QUERIES,
    ROBUST,
    SOURCES,
    SSIM,
    compare,
    share_of_flips,
)
from latreg.report.results import STRATA
from latreg.report.rows import Answer, ClaimRow, Comparison
from latreg.report.runs import Study, robust_faults
from latreg.runs.cell import Cell

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "undecided"

NEAR_PSI = 0.6  # of claim 4 ..
NEARNESS = 0.1  # .. and how near the best psi must be
DRIFT_LEFT = 0.5  # claim 6: an artefact of the center leaves less than this share of the drift without it


@dataclass(frozen=True)
class Claim:
    """What is claimed, and how its comparisons are made and judged."""

    number: int
    source: str  # who claims it
    statement: str
    measured: str  # how we look at it
    compare: Callable[[Study, str], Iterator[Comparison]]  # data set => comparisons; primary ones decide
    judge: Callable[[Sequence[Comparison]], str]  # the corrected primary comparisons of one data set => verdict


def evaluate(study: Study) -> tuple[list[ClaimRow], list[Comparison]]:
    """claims.json and comparisons.csv."""
    datasets = list(dict.fromkeys(cell.dataset for cell in study.cells))
    claims: list[ClaimRow] = []
    table: list[Comparison] = []
    for claim in CLAIMS:
        made = [row for dataset in datasets for row in claim.compare(study, dataset)]
        rows = [replace(row, claim=claim.number) for row in _corrected(made)]
        table += rows
        claims.append(_answer(claim, datasets, rows))
    return claims, table


def _corrected(rows: Sequence[Comparison]) -> list[Comparison]:
    """With Holm's correction: primary comparisons of each data set, and all others, among themselves."""
    families: dict[str, list[Comparison]] = {}
    for row in rows:
        families.setdefault(row.dataset if row.primary else "", []).append(row)
    corrected: list[Comparison] = []
    for family in families.values():
        p_values = statistics.holm([row.p for row in family])
        tested = len(p_values) - p_values.count(None)
        corrected += [
            replace(row, p_holm=p, family=0 if p is None else tested) for row, p in zip(family, p_values, strict=True)
        ]
    return corrected


def _answer(claim: Claim, datasets: Sequence[str], rows: Sequence[Comparison]) -> ClaimRow:
    answers: list[Answer] = []
    for dataset in datasets:
        primary = [row for row in rows if row.dataset == dataset and row.primary]
        verdict = claim.judge(primary) if primary else UNDECIDED
        answers.append(Answer(dataset, verdict, primary))
    return ClaimRow(
        number=claim.number,
        source=claim.source,
        statement=claim.statement,
        measured=claim.measured,
        verdict=_overall([answer.verdict for answer in answers]),
        datasets=answers,
        others=len([row for row in rows if not row.primary]),
    )


def _overall(verdicts: Sequence[str]) -> str:
    return verdicts[0] if len(set(verdicts)) == 1 else UNDECIDED


def significant(row: Comparison) -> bool:
    """Corrected p below ALPHA."""
    return row.p_holm is not None and row.p_holm < statistics.ALPHA


def _direction(rows: Sequence[Comparison]) -> str:
    """The one primary comparison: the first cell is claimed to have more."""
    (row,) = rows
    if not significant(row) or row.effect == 0:
        return UNDECIDED
    return CONFIRMED if row.effect > 0 else REFUTED


# ---- which cells


def _cells(study: Study, dataset: str, strategy: str, center: str | None = None) -> list[Cell]:
    """The cells of a strategy, without variants by other settings: these are not of the study's design."""
    cells = (cell for cell in study.cells if (cell.dataset, cell.strategy, cell.variant) == (dataset, strategy, ""))
    return [cell for cell in cells if center in (None, cell.center)]


def _matched(study: Study, dataset: str, first: str, second: str) -> list[tuple[Cell, Cell]]:
    """Cells of two strategies under the same truncation; that which decides comes first.

    It is the one of the published search: no truncation of the sources, the global center; else what is there.
    """
    pairs = [(cell, replace(cell, strategy=second)) for cell in _cells(study, dataset, first)]
    pairs = [(a, b) for a, b in pairs if b in study.cells]
    return sorted(pairs, key=lambda pair: (pair[0].truncation != "none", pair[0].center != "global", pair[0].order))


def _mark(rows: Iterable[Comparison | None]) -> Iterator[Comparison]:
    """The first comparison that could be made is the primary one, if it is the very first."""
    for position, row in enumerate(rows):
        if row is not None:
            yield replace(row, primary=position == 0)


# ---- the claims


def _fault_rate(study: Study, dataset: str) -> Iterator[Comparison]:
    pairs = _matched(study, dataset, "mixing", "random")
    yield from _mark(compare(study, *pair, PER_QUERY[ROBUST]) for pair in pairs)
    for pair in pairs:
        yield from _others(compare(study, *pair, PER_QUERY[ROBUST], stratum) for stratum in STRATA[1:])
        beside = [PER_QUERY[name] for name in PER_QUERY if name != ROBUST]
        yield from _others(compare(study, *pair, measure) for measure in (*beside, *PER_SOURCE.values(), QUERIES))


def _diversity(study: Study, dataset: str) -> Iterator[Comparison]:
    pairs = [pair for pair in _matched(study, dataset, "mixing", "random") if pair[0].truncation == "none"]
    spaces = [diversity.PIXELS, *features.space_of(dataset)]
    for pair in pairs:
        for space in reversed(spaces):
            for row in diversity.compare(study, *pair, space):
                yield replace(row, primary=pair is pairs[0] and space is spaces[-1] and row.p is not None)


def _validity(study: Study, dataset: str) -> Iterator[Comparison]:
    pairs = _matched(study, dataset, "mixing", "random")
    yield from _mark(compare(study, *pair, KEPT_FIRST) for pair in pairs)
    gates = [share_of_flips(gate) for gate in study.flags]
    for pair in pairs:
        yield from _others(compare(study, *pair, measure) for measure in (*gates, SSIM))


def _best_psi(study: Study, dataset: str) -> Iterator[Comparison]:
    """psi 0.6 against every other psi; mixing with the global center decides."""
    for strategy in ("mixing", "random", "sampling"):
        for center in ("global", "class"):
            grid = [cell for cell in _cells(study, dataset, strategy, center) if cell.psi is not None]
            near = [cell for cell in grid if cell.psi == NEAR_PSI]
            primary = (strategy, center) == ("mixing", "global")
            for cell, other in ((cell, other) for cell in near for other in grid if other != cell):
                if row := compare(study, cell, other, PER_SOURCE[ROBUST]):
                    yield replace(row, primary=primary)
                beside = (measure for name, measure in PER_SOURCE.items() if name != ROBUST)
                yield from _others(compare(study, cell, other, measure) for measure in beside)


def _judge_psi(rows: Sequence[Comparison]) -> str:
    """The best psi is near 0.6 and 0.6 beats no truncation; or one that is not near beats 0.6."""
    if any(significant(row) and row.effect < 0 and not _near(row.second.psi) for row in rows):
        return REFUTED
    best = max(rows, key=lambda row: row.value_second)
    is_best = best.value_second <= best.value_first or _near(best.second.psi)
    beats_none = any(row.second.psi == 1 and row.effect > 0 and significant(row) for row in rows)
    return CONFIRMED if is_best and beats_none else UNDECIDED


def _near(psi: float | None) -> bool:
    return psi is not None and abs(psi - NEAR_PSI) <= NEARNESS + 1e-9


def _adaptive(study: Study, dataset: str, direction: str) -> Iterator[Comparison]:
    """An adaptive truncation against every fixed psi; against the best one, mixing with the global center, decides."""
    for strategy in ("mixing", "random", "sampling"):
        for center in ("global", "class"):
            cells = _cells(study, dataset, strategy, center)
            fixed = [cell for cell in cells if cell.truncation == "fixed"]
            fixed.sort(key=lambda cell: -float(np.nan_to_num(robust_faults(study.cells[cell])).mean()))
            primary = (strategy, center) == ("mixing", "global")
            for cell in (cell for cell in cells if cell.truncation == direction):
                for rank, other in enumerate(fixed):
                    if row := compare(study, cell, other, SOURCES[ROBUST]):
                        yield replace(row, primary=primary and rank == 0)
                    beside = [measure for name, measure in SOURCES.items() if name != ROBUST]
                    beside += [PER_QUERY[ROBUST], QUERIES, APPRAISALS]
                    yield from _others(compare(study, cell, other, measure) for measure in beside)


def _judge_ratio(rows: Sequence[Comparison]) -> str:
    """Fewer sources: a ratio below 1."""
    (row,) = rows
    if not significant(row) or row.effect == 1:
        return UNDECIDED
    return CONFIRMED if row.effect < 1 else REFUTED


def _drift(study: Study, dataset: str) -> Iterator[Comparison]:
    """Global against class center; the sweep of psi from 1 decides, sampling at each psi stands beside it."""
    pairs = [
        (cell, replace(cell, center="class"))
        for strategy in ("random", "sampling", "mixing")
        for cell in _cells(study, dataset, strategy, "global")
    ]
    pairs = [(a, b) for a, b in pairs if b in study.cells]
    pairs.sort(key=lambda pair: (pair[0].strategy != "random", pair[0].truncation != "none"))
    yield from _mark(compare(study, *pair, DRIFTED) for pair in pairs)
    yield from _others(compare(study, *pair, PER_SOURCE["flips"]) for pair in pairs)


def _judge_drift(rows: Sequence[Comparison]) -> str:
    """The drift is significantly less without the global center, and less than DRIFT_LEFT of it is left."""
    (row,) = rows
    if not significant(row):
        return UNDECIDED
    left = row.value_second / row.value_first if row.value_first else np.inf
    return CONFIRMED if left < DRIFT_LEFT else REFUTED


def _others(rows: Iterable[Comparison | None]) -> Iterator[Comparison]:
    return (row for row in rows if row is not None)


_PAPER = "Latent Regularization in Generative Test Input Generation (arXiv 2602.15552)"
_PRIMARY = "The comparison without truncation of the sources and with the global center decides."

CLAIMS = (
    Claim(
        1,
        _PAPER,
        "Latent code mixing has a higher fault detection rate than random truncation.",
        "Robust faults per 1,000 queries, all of them counted: the area under the curve of faults against queries at "
        f"equal totals, whatever the order of the sources. {_PRIMARY}",
        _fault_rate,
        _direction,
    ),
    Claim(
        2,
        _PAPER,
        "Latent code mixing finds more diverse faults than random truncation.",
        "Mean distance of two robust faults of one class, for equally many of each, in the features of a network that "
        f"is neither SUT nor judge (of pixels where there is none). {_PRIMARY}",
        _diversity,
        _direction,
    ),
    Claim(
        3,
        _PAPER,
        "Faults of latent code mixing are more often valid than those of random truncation.",
        "Share of the flips of which the judge keeps the label, in the first pair that each source reported: a search "
        f"that reports several and keeps the best gains nothing by that. {_PRIMARY}",
        _validity,
        _direction,
    ),
    Claim(
        4,
        _PAPER,
        "A psi near 0.6 gives most validated faults.",
        "Robust faults per source of mixing with the global center at psi 0.6 against every other psi, 1 being no "
        "truncation. Confirmed where the best psi is within 0.1 of 0.6 and 0.6 beats 1; refuted where a psi further "
        "away beats 0.6.",
        _best_psi,
        _judge_psi,
    ),
    Claim(
        5,
        _PAPER,
        "Adaptive truncation needs fewer sources per validated fault than fixed truncation.",
        "Sources per robust fault of mixing with the global center: salvage, the adaptive mode of the authors' code, "
        "over the fixed psi that does best here, which favours fixed.",
        partial(_adaptive, direction="salvage"),
        _judge_ratio,
    ),
    Claim(
        6,
        "ours",
        "The class drift under truncation is an artefact of the global center.",
        "Sources that a sweep of psi from 1 down (random) turns into another class, by the SUT and by the judge: "
        "towards the global center against the class's own. Confirmed where the class center leaves less than half.",
        _drift,
        _judge_drift,
    ),
    Claim(
        7,
        "ours",
        "The smallest psi at which a source stays valid needs fewer sources per validated fault than fixed truncation.",
        "As claim 5 with minimal, the psi* of the paper's text. It asks the judge about each source up to ten times, "
        "which is compared too.",
        partial(_adaptive, direction="minimal"),
        _judge_ratio,
    ),
)
