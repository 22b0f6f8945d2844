"""What a contender found and what it cost, with intervals over the sources."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from latreg.interfaces import BoundaryRecord, Source
from latreg.measures.metrics import HELD_OUT
from latreg.measures.statistics import bootstrap, ratio
from latreg.runs.records import source_of

FOUND = ("flipped", "valid_fault", "robust_fault")


@dataclass
class Tally:
    """Records of the sources, and the CPU seconds of all rounds.

    Args:
        name: of the contender.
        startup: CPU seconds of its own imports and its first source, which is none of those that count.
    """

    name: str
    startup: float
    records: dict[Source, BoundaryRecord] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)  # queries per second, of each round
    _asked: int = 0
    _seconds: float = 0.0

    def add(self, records: Sequence[BoundaryRecord], seconds: float) -> None:
        """One more round, of all sources or of some."""
        queries = sum(record.queries for record in records)
        self.records |= {source_of(record): record for record in records}
        self.rates.append(queries / seconds)
        self._asked += queries
        self._seconds += seconds

    @property
    def queries(self) -> int:
        """Of each source once."""
        return sum(record.queries for record in self.records.values())

    @property
    def rate(self) -> float:
        """Queries per CPU second, judging included."""
        return self._asked / self._seconds

    def count(self, kind: str) -> int:
        """Sources with something of a kind of FOUND."""
        return sum(bool(getattr(record, kind)) for record in self.records.values())

    def per_query(self, kind: str, times: float) -> list[object]:
        """So many of a kind in so many queries, and the interval. Seconds are queries by the rate of all sources."""
        queries = [record.queries for record in self.records.values()]
        found = [bool(getattr(record, kind)) for record in self.records.values()]
        interval = bootstrap(lambda a, b: times * ratio(a, b), found, queries)
        return [times * float(ratio(found, queries)), list(interval) if interval else None]

    @property
    def kept(self) -> str:
        """Of the robust faults those that the held-out judge keeps."""
        robust = [record for record in self.records.values() if record.robust_fault]
        flags = [(record.severe_measured or record.measured).get(HELD_OUT) for record in robust]
        return f"{flags.count(True)} of {len(flags)}"

    @property
    def distances(self) -> list[float | None]:
        """Medians of L2 and L-infinity from the source to its valid fault, of pixels in [0, 1]."""
        pairs = [(r.source_image, r.first_image) for r in self.records.values() if r.valid_fault]
        changes = [(a / 255.0 - b / 255.0).ravel() for a, b in pairs if b is not None]
        norms: list[Callable[[np.ndarray], float]] = [lambda x: float(np.linalg.norm(x)), lambda x: float(abs(x).max())]
        return [median(map(norm, changes)) if changes else None for norm in norms]
