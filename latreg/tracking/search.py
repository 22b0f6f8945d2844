"""A search in Weights & Biases: curves against queries, a table of strips, the records as an artifact."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from latreg.interfaces import flags_of
from latreg.runs.cell import Cell
from latreg.runs.folder import flatten
from latreg.tracking.link import Link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wandb import Run

    from latreg.config import TrackingConfig
    from latreg.interfaces import BoundaryRecord, Columns

# One row per source: the strip, then these fields of its record, what the gates measured, and its queries.
# fmt: off
COLUMNS = (
    "label", "z_seed", "source_psi", "stratum", "accepted", "rejected_because", "source_confidence", "source_margin",
    "flipped", "valid_fault", "predicted", "rival", "partner_z_seed", "layers", "psi_first", "alpha_first", "bracket",
    "last_margin", "first_margin",
)
# fmt: on


class Tracker:
    """The mirror of one search: curves against queries, a table of strips, summary, and the records as an artifact.

    Use it as a context manager, so that the W&B run ends with the job, marked failed where the job failed.

    Args:
        tracking: the `tracking` group.
        config: the resolved configuration of the job, as plain containers.
        run_dir: the run's folder; the records are expected in its `records` folder when `finish` is called.
        group: name of the experiment; its jobs are shown together.
        measured: what the gates of the run measure.
        found: records of an interrupted run that is resumed, so that the curves go on where they were.

    Raises:
        LatregError: tracking.mode is none of offline, online, disabled.
    """

    def __init__(
        self,
        tracking: TrackingConfig,
        config: dict[str, Any],
        run_dir: Path,
        group: str,
        *,
        measured: Columns,
        found: Iterable[BoundaryRecord] = (),
    ) -> None:
        self._run_dir = Path(run_dir)
        self._columns = (*COLUMNS, *measured, "queries")
        self._flags = flags_of(measured)
        self._rows = _Rows(tracking.table_rows)
        self._totals = Counter[str]()
        self._points: list[dict[str, int]] = []
        self._psis: list[float] = []
        described = config | {"truncation_label": _truncation_label(config)}
        self._link = Link(tracking, described, self._run_dir, group, begin=self._begin)
        for record in found:
            self._add(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._link.close(failed=kind is not None)

    def log_record(self, record: BoundaryRecord) -> None:
        """Add one finished source: a row, and a point of each curve (running totals against queries)."""
        self._add(record)
        point = {f"search/{name}": total for name, total in self._totals.items()}
        self._link.attempt(lambda run: run.log(point))
        self._points.append(point)

    def _add(self, record: BoundaryRecord) -> None:
        self._rows.add(record)
        self._psis.append(record.source_psi)
        passed = {flag: record.measured.get(flag) for flag in self._flags}
        self._totals.update(
            queries=record.queries,
            sources=1,
            accepted=record.accepted,
            flipped=record.flipped,
            valid_faults=record.valid_fault,
            # None where there is no model to say so: then it is not counted
            **{flag: int(value) for flag, value in passed.items() if value is not None},
        )

    def finish(self, metrics: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Log what is known at the end, and end the W&B run.

        Args:
            metrics: the content of metrics.json; nested names are joined by a slash.
            metadata: of the artifact that holds the records, with the sha256 of the weights.
        """
        self._link.attempt(self._log_table)
        psi = {"source_psi_median": median(self._psis)} if self._psis else {}
        self._link.attempt(lambda run: run.summary.update(flatten(metrics) | psi))
        self._link.attempt(lambda run: _log_folder(run, self._run_dir / "records", dict(metadata)))
        self._link.close(failed=False)

    def _begin(self, run: Run) -> None:
        """Define the axis; after a fall-back also draw again what the lost run had."""
        run.define_metric("search/queries")
        run.define_metric("search/*", step_metric="search/queries")
        for point in self._points:
            run.log(point)

    def _log_table(self, run: Run) -> None:
        import wandb

        from latreg.runs.strips import strip

        table = wandb.Table(columns=["strip", *self._columns])
        for record in self._rows:
            table.add_data(wandb.Image(strip(record)), *(_cell(record.column(name)) for name in self._columns))
        run.log({"boundary": table})


class _Rows:
    """The records worth a row. Beyond the limit valid faults push out flips, and flips sources without a find."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[tuple[bool, bool, bool], int, BoundaryRecord]] = []
        self._seen = 0

    def add(self, record: BoundaryRecord) -> None:
        self._seen += 1
        rank = (record.valid_fault, record.flipped, record.accepted)
        heapq.heappush(self._heap, (rank, -self._seen, record))  # the count decides ties, and keeps the earlier one
        if len(self._heap) > self._limit:
            heapq.heappop(self._heap)

    def __iter__(self) -> Iterator[BoundaryRecord]:
        """In the order in which they came."""
        return (record for _, _, record in sorted(self._heap, key=lambda entry: -entry[1]))


def _truncation_label(config: Mapping[str, Any]) -> str:
    """Truncation in words, by which runs are grouped, as the report says it: "psi 0.7, class center"."""
    cutoff = config["truncation"].get("cutoff")
    variant = "" if cutoff is None else f"truncation.cutoff={cutoff}"
    return replace(Cell.of(config), variant=variant).setting


def _log_folder(run: Run, folder: Path, metadata: dict[str, Any]) -> None:
    """All files of a folder as one artifact, named after the run."""
    import wandb

    name = re.sub(r"[^\w.-]", "-", f"{folder.name}-{run.id}")
    artifact = wandb.Artifact(name, type=folder.name, metadata=metadata)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        # immutable = no second copy on disk: parts are never written again
        artifact.add_file(str(file), name=file.relative_to(folder).as_posix(), policy="immutable")
    run.log_artifact(artifact)


def _cell(value: Any) -> Any:
    """A value as W&B's tables take it: a list would become a nested type."""
    return ",".join(str(item) for item in value) if isinstance(value, list) else value
