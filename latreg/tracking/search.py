"""A search in Weights & Biases: curves against queries, a table of images, histograms, the records as an artifact."""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
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

# One row per source: its images, class and answer by name, then these fields of its record, what the gates measured,
# and its queries.
IMAGES = ("source", "last_correct", "first_wrong", "most_severe")
NAMES = ("class", "answer")
# fmt: off
COLUMNS = (
    "label", "z_seed", "source_psi", "stratum", "accepted", "rejected_because", "source_confidence", "source_margin",
    "flipped", "valid_fault", "predicted", "rival", "partner_z_seed", "layers", "psi_first", "alpha_first", "bracket",
    "last_margin", "first_margin", "robust_fault", "stability", "severe_margin", "severe_stability",
)
# fmt: on
FIRST_TABLE = 25  # sources; the next one comes with ten times as many, as each holds all rows


class Tracker:
    """The mirror of one search: curves, a table of images and histograms that grow, the records as an artifact.

    Use it as a context manager, so that the W&B run ends with the job, marked failed where the job failed.

    Args:
        tracking: the `tracking` group.
        config: the resolved configuration of the job, as plain containers.
        run_dir: the run's folder; the records are expected in its `records` folder when `finish` is called.
        group: name of the experiment; its jobs are shown together.
        measured: what the gates of the run measure.
        weights: sha256 of each network's weights, which are the inputs of the run.
        found: records of an interrupted run that is resumed: W&B gets a new run, which has them all.

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
        weights: Mapping[str, str | None] | None = None,
        found: Iterable[BoundaryRecord] = (),
    ) -> None:
        self._run_dir = Path(run_dir)
        self._columns = (*COLUMNS, *measured, "queries")
        self._class_names: list[str] = config["dataset"].get("class_names") or []
        self._dataset: str = config["dataset"]["name"]
        self._weights = {kind: id for kind, id in (weights or {}).items() if id}
        self._flags = flags_of(measured)
        self._rows = _Rows(tracking.table_rows)
        self._totals = Counter[str]()
        self._points: list[dict[str, int]] = []
        self._values: dict[str, list[float]] = defaultdict(list)
        self._next_table = FIRST_TABLE
        cell, shard = _cell_of(config), config.get("search", {}).get("shard")
        described = config | {"truncation_label": cell.setting, "weights": self._weights}
        name = _run_name(config, cell)
        for record in found:
            self._add(record)
        # Shards are no runs to compare: the sum of their group is one, which latreg.merge logs as well.
        self._link = Link(
            tracking,
            described,
            self._run_dir,
            f"{group}: {name}, shards of {shard.partition('/')[2]}" if shard else group,
            name=f"{name}, shard {shard}" if shard else name,
            begin=self._begin,
            job_type="shard" if shard else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._link.close(failed=kind is not None)

    def log_record(self, record: BoundaryRecord) -> None:
        """Add one finished source: a row, and a point of each curve (running totals against queries)."""
        point = self._add(record)
        self._link.attempt(lambda run: run.log(point))
        if self._totals["sources"] >= self._next_table:
            self._log_finds()

    def _add(self, record: BoundaryRecord) -> dict[str, int]:
        """Count a record; returns the new point of the curves."""
        self._rows.add(record)
        for name, value in _values(record).items():
            self._values[name].append(value)
        counts = {name: getattr(record, name) for name in ("queries", "accepted", "flipped")}
        counts |= {"sources": 1, "valid_faults": record.valid_fault, "robust_faults": record.robust_fault}
        counts |= {flag: record.measured.get(flag) for flag in self._flags}
        # None where there is no model to say so: then it is not counted
        self._totals.update({name: int(count) for name, count in counts.items() if count is not None})
        self._points.append({f"search/{name}": total for name, total in self._totals.items()})
        return self._points[-1]

    def finish(self, metrics: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Log what is known at the end, and end the W&B run.

        Args:
            metrics: the content of metrics.json; nested names are joined by a slash.
            metadata: of the artifact that holds the records, with the sha256 of the weights.
        """
        self._log_finds()
        psi = {"source_psi_median": median(psis)} if (psis := self._values["sources/psi"]) else {}
        self._link.attempt(lambda run: run.summary.update(flatten(metrics) | psi))
        self._link.attempt(lambda run: _log_folder(run, self._run_dir / "records", dict(metadata)))
        self._link.close(failed=False)

    def _begin(self, run: Run) -> None:
        """Define the axis, name the inputs, and draw what is known: of a resumed run, or of one lost to a fall-back."""
        run.define_metric("search/queries")
        run.define_metric("search/*", step_metric="search/queries")
        for kind, id in self._weights.items():
            _use_weights(run, f"{self._dataset}-{kind}", id)
        for point in self._points:
            run.log(point)

    def _log_finds(self) -> None:
        """Table and histograms of what is there so far."""
        self._next_table = 10 * self._totals["sources"]
        self._link.attempt(self._log_table)
        self._link.attempt(self._log_histograms)

    def _log_table(self, run: Run) -> None:
        import wandb

        table = wandb.Table(columns=[*IMAGES, *NAMES, *self._columns])
        for row in self._rows:
            names = [self._class_name(row.record.label), self._class_name(row.record.predicted)]
            table.add_data(*row.images, *names, *(_cell(row.record.column(name)) for name in self._columns))
        run.log({"boundary": table})

    def _log_histograms(self, run: Run) -> None:
        import wandb

        if self._values:
            run.log({f"histograms/{name}": wandb.Histogram(values) for name, values in self._values.items()})

    def _class_name(self, label: int | None) -> str | None:
        return self._class_names[label] if label is not None and label < len(self._class_names) else None


@dataclass(frozen=True)
class _Row:
    """A record, whose images are encoded once for all tables that show them."""

    record: BoundaryRecord

    @cached_property
    def images(self) -> list[Any]:
        """Its images for a table, None where there is none."""
        import wandb

        from latreg.runs.strips import enlarged

        of = self.record
        images = (of.source_image, of.last_image, of.first_image, of.severe_image)
        return [None if image is None else wandb.Image(enlarged(image)) for image in images]


class _Rows:
    """The records worth a row. Beyond the limit valid faults push out flips, and flips sources without a find."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[tuple[bool, bool, bool, bool], int, _Row]] = []
        self._seen = 0

    def add(self, record: BoundaryRecord) -> None:
        self._seen += 1
        rank = (record.robust_fault is True, record.valid_fault, record.flipped, record.accepted)
        heapq.heappush(self._heap, (rank, -self._seen, _Row(record)))  # the count decides ties: the earlier one stays
        if len(self._heap) > self._limit:
            heapq.heappop(self._heap)

    def __iter__(self) -> Iterator[_Row]:
        """In the order in which they came."""
        return (row for _, _, row in sorted(self._heap, key=lambda entry: -entry[1]))


def _cell_of(config: Mapping[str, Any]) -> Cell:
    """The cell of the report, whose words for truncation are those by which runs are grouped."""
    cutoff = config["truncation"].get("cutoff")
    return replace(Cell.of(config), variant="" if cutoff is None else f"truncation.cutoff={cutoff}")


def _run_name(config: Mapping[str, Any], cell: Cell) -> str:
    """What a search is: "mnist, mixing, psi 0.7, global center, run_seed 1"."""
    seed = config.get("run_seed")
    return ", ".join([cell.dataset, cell.name, *([f"run_seed {seed}"] if seed else [])])


def _values(record: BoundaryRecord) -> dict[str, float]:
    """What there are histograms of, as far as a record has it."""
    of = {"sources/psi": record.source_psi, "sources/margin": record.source_margin}
    flip = {"flips/psi": record.psi_first, "flips/alpha": record.alpha_first, "flips/margin": record.first_margin}
    return of | {name: value for name, value in flip.items() if value is not None}


def _use_weights(run: Run, name: str, id: str) -> None:
    """Name the weights with this sha256 as an input; they are not uploaded, a file with the sha256 stands for them."""
    import wandb

    artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", name), type="weights", metadata={"sha256": id})
    with artifact.new_file("sha256") as file:
        file.write(id)
    with suppress(AttributeError, TypeError):  # run.use_artifact is the same, but refuses to work offline
        run._log_artifact(artifact, is_user_created=True, use_after_commit=True)


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
