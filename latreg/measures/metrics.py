"""The numbers of a run, pure functions of its records.

Conventions: what passes a gate counts among the flipped sources, under the name of its flag. A number that is not
defined (no faults to divide by, no validity model, no time measured for a stratum) is None, never nan or infinite.
"""

from collections.abc import Mapping, Sequence
from statistics import NormalDist, median
from typing import Any

import numpy as np

from latreg.interfaces import BoundaryRecord
from latreg.measures.waiting import CAPS, KINDS, first_faults, found_within, waits

STRATA = ("confident", "uncertain")
HELD_OUT = "held_out"  # the flag of the judge that has no part in the gates
APART = ("walk_queries", "stability_queries", "appraisals")  # costs that are counted apart


def summarize(
    records: Sequence[BoundaryRecord],
    flags: Sequence[str],
    chosen: Sequence[BoundaryRecord] = (),
    seconds: float | None = None,
) -> dict[str, Any]:
    """The content of metrics.json.

    Args:
        records: of the drawn sources of one run.
        flags: of its gates.
        chosen: of the sources that were chosen beside them; where there are some, they are a stratum of their own.
        seconds: wall-clock time of the search, of all its sources. It cannot be split by stratum, so there it is None.
    """
    known = _known(flags, (*records, *chosen))
    strata = {name: _summarize([r for r in records if r.stratum == name], known) for name in STRATA}
    if chosen:
        strata["chosen"] = _summarize(chosen, known)
    queries = sum(r.queries for r in (*records, *chosen))
    time = {"seconds": seconds, "queries_per_second": _ratio(queries, seconds or 0)}
    return _summarize(records, known) | time | {"strata": strata}


def _summarize(records: Sequence[BoundaryRecord], known: Mapping[str, bool]) -> dict[str, Any]:
    accepted = [r for r in records if r.accepted]
    flipped = [r for r in records if r.flipped]
    faults = [r for r in records if r.valid_fault]
    accepted_faults = sum(r.accepted for r in faults)  # strategies without a search find theirs on rejected sources
    queries = sum(r.queries for r in records)
    return {
        "sources": len(records),
        "accepted": len(accepted),
        "acceptance_rate": _ratio(len(accepted), len(records)),
        "flipped": len(flipped),
        **_passed(flipped, known),
        "valid_faults": len(faults),
        "fault_rate_per_source": _ratio(len(faults), len(records)),
        "fault_rate_per_source_ci95": wilson(len(faults), len(records)),
        "fault_rate_per_accepted": _ratio(accepted_faults, len(accepted)),
        "fault_rate_per_accepted_ci95": wilson(accepted_faults, len(accepted)),
        "queries": queries,
        "queries_per_valid_fault": _ratio(queries, len(faults)),
        "sources_per_valid_fault": _ratio(len(records), len(faults)),
        **_robust(records, faults),
        **_held_out(faults),
        **_waits(records),
        "stability_median": _median([r.stability for r in faults]),
        **{name: _total([r.column(name) for r in records]) for name in APART},
        "boundary_margin_median": boundary_margin_median(flipped),
        "diversity": diversity([r.first_image for r in faults if r.first_image is not None]),
        "distinct_class_pairs": len({(r.label, r.predicted) for r in faults}),
        "seconds": None,  # of a run as a whole only
        "queries_per_second": None,
    }


def _robust(records: Sequence[BoundaryRecord], faults: Sequence[BoundaryRecord]) -> dict[str, Any]:
    """Of the valid faults those that are robust, and what they cost with all that was asked to know it.

    None where it is not known of each.
    """
    queries = sum(r.queries + (r.stability_queries or 0) for r in records)
    known = all(r.robust_fault is not None for r in faults)
    count = sum(r.robust_fault is True for r in faults) if known and _measured_at_all(records) else None
    return {
        "robust_faults": count,
        "robust_rate_per_source": None if count is None else _ratio(count, len(records)),
        "robust_rate_per_source_ci95": None if count is None else wilson(count, len(records)),
        "queries_per_robust_fault": _ratio(queries, count or 0),
        "sources_per_robust_fault": _ratio(len(records), count or 0),
    }


def _held_out(faults: Sequence[BoundaryRecord]) -> dict[str, Any]:
    """Of valid faults on the boundary, and of robust ones where they are most severe, the share that the held-out judge
    keeps; None where it was not asked.
    """
    robust = [r for r in faults if r.robust_fault]
    kept = {
        "valid": [r.measured.get(HELD_OUT) for r in faults],
        "robust": [(r.severe_measured or r.measured).get(HELD_OUT) for r in robust],
    }
    known = {kind: [bool(flag) for flag in flags if flag is not None] for kind, flags in kept.items()}
    shares = {f"held_out_rate_of_{kind}": _ratio(sum(flags), len(flags)) for kind, flags in known.items()}
    return shares | {f"held_out_rate_of_{kind}_ci95": wilson(sum(flags), len(flags)) for kind, flags in known.items()}


def _waits(records: Sequence[BoundaryRecord]) -> dict[str, Any]:
    """Queries until a first fault: the median of a source, and those of the search; shares with a robust one by then.

    None where there are no faults, or older records without all reported pairs.
    """
    times = [first_faults(r.pairs, r.valid_fault, r.robust_fault) for r in records]
    queries = np.array([r.queries for r in records], dtype=float)
    cut_short = np.array([r.stopped_by_budget for r in records], dtype=bool)
    found: dict[str, Any] = {}
    of_kinds = dict(zip(KINDS, np.array(times, dtype=float).reshape(-1, 2).T, strict=True))
    for kind, first in of_kinds.items():
        for name, (value, interval) in zip(
            (f"queries_to_{kind}_median", f"queries_to_first_{kind}"), waits(first, queries, cut_short), strict=True
        ):
            found |= {name: value, f"{name}_ci95": None if interval is None else list(interval)}
    for cap in CAPS:
        count, name = found_within(cap, of_kinds["robust"], queries, cut_short), f"robust_within_{cap}"
        found |= {name: None if count is None else _ratio(count, len(records))}
        found |= {f"{name}_ci95": None if count is None else wilson(count, len(records))}
    return found


def _measured_at_all(records: Sequence[BoundaryRecord]) -> bool:
    """Records of older runs say of no source whether it has a robust fault."""
    return not records or any(r.robust_fault is not None for r in records)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None


def _total(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known or not values else None


def wilson(successes: int, n: int, confidence: float = 0.95) -> list[float] | None:
    """Wilson's score interval [low, high] of a proportion, None for n = 0 (Wilson 1927)."""
    if n == 0:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / n
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    low = 0.0 if successes == 0 else center - half  # exact at the ends, where rounding would leave 1e-17
    high = 1.0 if successes == n else center + half
    return [low, high]


def boundary_margin_median(records: Sequence[BoundaryRecord]) -> float | None:
    """Median over pairs of max(|margin of the last|, |margin of the first|): how far from the boundary they lie.

    The larger of the two, since a pair is on the boundary only if both its images are. Faults that were found without
    a search have no last image and do not count.
    """
    pairs = [(r.last_margin, r.first_margin) for r in records]
    sizes = [max(abs(last), abs(first)) for last, first in pairs if last is not None and first is not None]
    return float(median(sizes)) if sizes else None


def diversity(images: Sequence[np.ndarray], block: int = 512) -> float | None:
    """Mean over all pairs of images (C, H, W) uint8 of their root mean square pixel difference, on [0, 1].

    None for fewer than two images. The sums of squares are integers below 2^53, so expanding (a - b)^2 loses nothing.
    """
    n = len(images)
    if n < 2:
        return None
    pixels = np.stack(images).reshape(n, -1).astype(np.float64)
    squares = (pixels**2).sum(1)
    total = 0.0
    for start in range(0, n, block):
        rows = slice(start, start + block)
        total += np.sqrt(squares[rows, None] + squares - 2 * pixels[rows] @ pixels.T).sum()
    return float(total / (n * (n - 1)) / 255 / pixels.shape[1] ** 0.5)


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def _known(flags: Sequence[str], records: Sequence[BoundaryRecord]) -> dict[str, bool]:
    """Whether there was a model to raise each flag; similarity to the source is always known."""
    return {flag: flag == "screened" or any(r.measured.get(flag) is not None for r in records) for flag in flags}


def _passed(flipped: Sequence[BoundaryRecord], known: Mapping[str, bool]) -> dict[str, int | None]:
    """How many pass each gate; None where its flag is not known."""
    return {
        flag: sum(r.measured.get(flag) is True for r in flipped) if is_known else None
        for flag, is_known in known.items()
    }
