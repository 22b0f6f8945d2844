"""How far a search is: a bar at a terminal, a line of the log now and then where there is none."""

import logging
import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from latreg.interfaces import BoundaryRecord
from latreg.jobs.remaining import Range, queries_left
from latreg.search.engine import Engine

log = logging.getLogger(__name__)

PAUSE = 60.0  # seconds between two lines of the log
FACTOR = 2.0  # the time that is left is told once it is known within it, and before only the most that it can be
USEFUL = 30.0  # and that only if it is no more than so many times what was searched
SETTLED = 0.25  # of the sources must have come back before, where workers search them block by block
_UNITS = ((86_400, "days"), (3600, "h"), (60, "min"), (1, "s"))


class Pause:
    """Between two lines of the log. Times are those of `time.monotonic`."""

    def __init__(self, now: float) -> None:
        self._last = now

    def over(self, now: float) -> bool:
        """Whether it is time for a line; then the next pause begins."""
        if now - self._last < PAUSE:
            return False
        self._last = now
        return True


class SearchProgress:
    """Sources done, faults found, queries per second and the time left, on stderr.

    Args:
        total: sources of the run.
        completed: those that an interrupted run has done.
        engine: its query counter gives the speed.
        spent: queries of an interrupted run, which count towards its budget.
    """

    def __init__(self, total: int, completed: int, engine: Engine, spent: int = 0) -> None:
        self._engine = engine
        self._before = engine.queries  # which chose the sources
        self._spent = spent
        self._total, self._saved = total, completed
        self._started = time.monotonic()
        self._pause = Pause(self._started)
        self._robust = self._faults = self._flipped = 0
        self._lengths: list[int] = []  # queries of each record
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._progress = Progress(
            BarColumn(bar_width=8),
            TextColumn("{task.completed}/{task.total} sources, {task.fields[found]}"),
            console=Console(stderr=True),
            disable=not self._terminal,
        )
        self._task = self._progress.add_task("search", total=total, completed=completed, found="")

    def __enter__(self) -> "SearchProgress":
        with suppress(OSError):  # a terminal that was closed, as in what follows
            self._progress.start()
        self._engine.on_round = self._refresh
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._progress.stop()

    def advance(self, record: BoundaryRecord) -> None:
        """Count a finished source."""
        self._lengths.append(record.queries)
        self._flipped += record.flipped
        self._faults += record.valid_fault
        self._robust += record.robust_fault is True
        self._refresh()

    def _refresh(self) -> None:
        own = self._engine.queries - self._before
        queries = max(own, sum(self._lengths))  # an engine in a worker counts where it is
        done = max(len(self._engine.ended), len(self._lengths))
        now = time.monotonic()
        seconds = max(now - self._started, 1e-9)
        left = self._queries_left(queries)
        useful = left and (expected(left) is not None or left.most <= USEFUL * queries)
        told = f"{in_words(left, seconds / queries)} left, " if left and useful else ""
        found = f"{self._flipped} flips, {self._faults} valid, {self._robust} robust, "
        found += f"{told}{queries / seconds:.0f} queries/s"  # what a narrow terminal cuts comes last
        with suppress(OSError):
            self._progress.update(self._task, completed=self._saved + done, found=found)
        if not self._terminal and self._pause.over(now):
            log.info("%d of %d sources, %s", self._saved + done, self._total, found)

    def _queries_left(self, queries: int) -> Range | None:
        """None = too early to say."""
        ended, live = self._engine.ended or self._lengths, self._engine.live
        wanted = self._total - self._saved
        if not queries or not (live or len(ended) >= SETTLED * wanted):
            return None
        limits = self._engine.limits
        left = queries_left(ended, live, wanted - len(ended) - len(live), limits.max_queries_per_source)
        budget = math.inf if limits.max_queries is None else max(limits.max_queries - self._spent - queries, 0)
        return Range(*(min(end, budget) for end in left))


def expected(left: Range) -> float | None:
    """The number that is within FACTOR of both ends; None where there is none."""
    return math.sqrt(left.least * left.most) if left.most <= FACTOR**2 * left.least else None


def in_words(left: Range, seconds: float) -> str:
    """2 min; "< 2 min" where no more is known than the most that can be left.

    Args:
        left: queries.
        seconds: that one of them takes.
    """
    known = expected(left)
    return f"< {rounded(left.most * seconds, math.ceil)}" if known is None else rounded(known * seconds)


def rounded(seconds: float, how: Callable[[float], int] = round) -> str:
    """90 => 2 min: in the largest unit of which there are two."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= 1.5 * size), _UNITS[-1])
    return f"{how(seconds / size)} {unit}"
