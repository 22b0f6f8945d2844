"""The progress bar of a search."""

import sys
import time
from contextlib import suppress
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from latreg.interfaces import BoundaryRecord
from latreg.search.engine import Engine


class SearchProgress:
    """Sources done, faults found, queries per second and the time left, on stderr; silent where that is no terminal.

    Args:
        total: sources of the run.
        completed: those that an interrupted run has done.
        engine: its query counter gives the speed.
    """

    def __init__(self, total: int, completed: int, engine: Engine) -> None:
        self._engine = engine
        self._saved = completed
        self._started = time.monotonic()
        self._records = self._faults = self._flipped = self._queries = 0
        self._progress = Progress(
            TextColumn("{task.completed}/{task.total} sources"),
            BarColumn(),
            TextColumn("{task.fields[found]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            disable=sys.stderr is None or not sys.stderr.isatty(),
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
        self._records += 1
        self._queries += record.queries
        self._flipped += record.flipped
        self._faults += record.valid_fault
        self._refresh()

    def _refresh(self) -> None:
        queries = max(self._engine.queries, self._queries)  # an engine in a worker counts where it is
        completed = self._saved + max(self._engine.finished, self._records)
        speed = queries / max(time.monotonic() - self._started, 1e-9)
        found = f"{self._faults} valid faults of {self._flipped} flips, {queries} queries, {speed:.0f}/s,"
        with suppress(OSError):
            self._progress.update(self._task, completed=completed, found=found)
