"""Weights & Biases: the only importer of wandb. It mirrors a run and never feeds it.

Whatever goes wrong here (no key, no network, a server that dies, a full disk) costs the mirror and never the run:
tracking goes on offline or stops, and one warning says so. All that wandb writes lies in `<run folder>/wandb`.
"""

from __future__ import annotations

import heapq
import logging
import os
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from latreg.errors import LatregError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lightning.pytorch.loggers import WandbLogger
    from wandb import Run

    from latreg.config import TrackingConfig
    from latreg.interfaces import BoundaryRecord
from latreg.runfolder import flatten

log = logging.getLogger(__name__)

MODES = ("offline", "online", "disabled")
INIT_TIMEOUT = 30.0  # seconds that an unreachable server may cost at the start ..
FINISH_TIMEOUT = 60.0  # .. and at the end of a run

# Where wandb keeps its things, below the run's folder; a variable that the user has set stays.
_FOLDERS = {
    "WANDB_DIR": ".",
    "WANDB_DATA_DIR": "wandb/data",  # images of tables and artifacts wait here for their upload
    "WANDB_CACHE_DIR": "wandb/cache",
    "WANDB_CONFIG_DIR": "wandb/config",
}
_SET_BY_USER = frozenset(name for name in _FOLDERS if name in os.environ)

# One row per source: the strip, then these fields of its record.
# fmt: off
COLUMNS = (
    "label", "z_seed", "source_psi", "stratum", "accepted", "rejected_because", "source_confidence", "source_margin",
    "flipped", "valid_fault", "predicted", "rival", "partner_z_seed", "layers", "psi_first", "alpha_first", "bracket",
    "last_margin", "first_margin", "ssim", "l2_rel", "lpips", "vae_error", "judge_votes",
    "screened", "in_distribution", "label_kept", "queries",
)
# fmt: on
_VERDICTS = ("screened", "in_distribution", "label_kept")  # None where there is no model to raise it: then not counted


class Tracker:
    """The mirror of one search: curves against queries, a table of strips, summary, and the records as an artifact.

    Use it as a context manager, so that the W&B run ends with the job, marked failed where the job failed.

    Args:
        tracking: the `tracking` group.
        config: the resolved configuration of the job, as plain containers.
        run_dir: the run's folder; the records are expected in its `records` folder when `finish` is called.
        group: name of the experiment; its jobs are shown together.
        job: name of this job; None = the last two parts of run_dir, which are its time and number.
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
        job: str | None = None,
        *,
        found: Iterable[BoundaryRecord] = (),
    ) -> None:
        self._run_dir = Path(run_dir)
        self._rows = _Rows(tracking.table_rows)
        self._totals = Counter[str]()
        self._points: list[dict[str, int]] = []
        self._psis: list[float] = []
        described = config | {"truncation_label": _truncation_label(config.get("truncation", {}))}
        self._link = _Link(tracking, described, self._run_dir, group, job, begin=self._begin)
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
        verdicts = {name: getattr(record, name) for name in _VERDICTS}
        self._totals.update(
            queries=record.queries,
            sources=1,
            accepted=record.accepted,
            flipped=record.flipped,
            valid_faults=record.valid_fault,
            **{name: verdict for name, verdict in verdicts.items() if verdict is not None},
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

        from latreg.strips import strip

        table = wandb.Table(columns=["strip", *COLUMNS])
        for record in self._rows:
            table.add_data(wandb.Image(strip(record)), *(_cell(getattr(record, name)) for name in COLUMNS))
        run.log({"boundary": table})


@contextmanager
def lightning_logger(
    tracking: TrackingConfig,
    config: dict[str, Any],
    run_dir: Path,
    group: str,
    job: str | None = None,
    *,
    x_axis: str | None = None,
) -> Iterator[WandbLogger | None]:
    """A logger for Lightning for as long as the block lasts; None where there is no tracking.

    Give a Trainer `logger or False`, since None would make it write a log of its own.

    Args:
        tracking, config, run_dir, group, job: as for `Tracker`.
        x_axis: name of a logged value against which all others are drawn; None = Lightning's count of steps.

    Raises:
        LatregError: tracking.mode is none of offline, online, disabled.
    """
    if tracking.mode == "disabled":
        yield None
        return
    from lightning.pytorch.utilities import rank_zero_only

    def begin(run: Run) -> None:
        # Resuming starts another offline run at step 0, so the axis must be a value of the training itself.
        axis = x_axis or "trainer/global_step"
        run.define_metric(axis)
        run.define_metric("*", step_metric=axis, step_sync=True)

    if getattr(rank_zero_only, "rank", 0) != 0:
        yield None  # the other processes of a training keep quiet
        return
    link = _Link(tracking, config, run_dir, group, job, begin=begin)
    failed = True
    try:
        yield _lightning_logger(link, tracking, run_dir) if link.run else None
        failed = False
    finally:
        link.close(failed)


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


class _Link:
    """The way to W&B, whose errors are told once and swallowed: online, then offline, then none.

    Args:
        begin: done with each run that is opened.
    """

    def __init__(
        self,
        tracking: TrackingConfig,
        config: dict[str, Any],
        run_dir: Path,
        group: str,
        job: str | None,
        *,
        begin: Callable[[Run], None],
    ) -> None:
        if tracking.mode not in MODES:
            raise LatregError(f"tracking.mode must be one of {', '.join(MODES)}, got {tracking.mode!r}")
        run_dir = Path(run_dir).absolute()
        self.run: Run | None = None
        self._begin = begin
        self._ways = {"online": [_online, _offline], "offline": [_offline], "disabled": []}[tracking.mode]
        self._arguments: dict[str, Any] = {
            "project": tracking.project,
            "entity": tracking.entity,
            "group": group,
            "name": job or "/".join(run_dir.parts[-2:]),
            "job_type": config.get("stage"),
            "tags": _tags(tracking, config),
            "config": config,
            "dir": str(run_dir),
            "reinit": "create_new",  # this run is nobody else's
        }
        self._open()

    def attempt(self, action: Callable[[Run], object]) -> None:
        """Do something with the run; where that fails, with the run of the next way."""
        while self.run is not None:
            try:
                action(self.run)
            except Exception as error:
                self._give_up(error)
            else:
                return

    def close(self, failed: bool) -> None:
        """End the run; harmless when it has ended. What a dead server did not take is on disk."""
        run, self.run, self._ways = self.run, None, []
        if run is None:
            return
        try:
            run.finish(exit_code=1 if failed else 0)
        except Exception as error:
            log.warning("W&B did not take everything (%s); to upload: wandb sync %s", _one_line(error), _folder(run))

    def _open(self) -> None:
        while self.run is None and self._ways:
            try:
                way = self._ways.pop(0)
                _set_folders(Path(self._arguments["dir"]))
                self.run = way(self._arguments)
                self._begin(self.run)
            except Exception as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Say so, leave the run behind, and open the next."""
        rest = "tracking goes on offline" if self._ways else "the run goes on without tracking"
        log.warning("W&B failed (%s); %s", _one_line(error), rest)
        run, self.run = self.run, None
        if run is not None:
            with suppress(Exception):
                run.finish(exit_code=1)
        self._open()


def _set_folders(run_dir: Path) -> None:
    """Must happen before the first import of wandb, and again for each job of a multirun."""
    for name, folder in _FOLDERS.items():
        if name not in _SET_BY_USER:
            path = (run_dir / folder).resolve()
            path.mkdir(parents=True, exist_ok=True)
            os.environ[name] = str(path)


def sign_in() -> None:
    """Take the API key that is set. W&B itself would open a menu and wait for an answer wherever there is a terminal.

    Raises:
        LatregError: none is set.
    """
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    if not wandb.login(prompt=False, verify=False):
        raise LatregError("no API key is set (`wandb login` or WANDB_API_KEY)")


def _online(arguments: dict[str, Any]) -> Run:
    import wandb

    sign_in()
    run = wandb.init(**arguments, mode="online", settings=_settings())
    log.info("W&B: %s", run.url)
    return run


def _offline(arguments: dict[str, Any]) -> Run:
    import wandb

    run = wandb.init(**arguments, mode="offline", settings=_settings())
    log.info("W&B is offline; to upload: wandb sync %s", _folder(run))
    return run


def _settings() -> Any:
    """Silent, since what matters is logged here; run.log holds the console, whose progress bar W&B would garble."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        init_timeout=INIT_TIMEOUT,
        finish_timeout=FINISH_TIMEOUT,
        finish_timeout_raises=True,
    )


def _folder(run: Run) -> Path:
    return Path(run.dir).parent


def _tags(tracking: TrackingConfig, config: Mapping[str, Any]) -> list[str]:
    """What runs are compared by, in W&B's limit of 64 characters."""
    names = [
        config.get(group, {}).get(key)
        for group, key in (("strategy", "name"), ("truncation", "mode"), ("dataset", "name"))
    ]
    return list(dict.fromkeys(str(tag)[:64] for tag in [*names, *tracking.tags] if tag))


def _truncation_label(truncation: Mapping[str, Any]) -> str:
    """Truncation in words, by which runs are grouped: "psi 0.7, class center", "salvage, global center"."""
    get = truncation.get
    psi = get("psi") if get("mode") == "fixed" else 1
    what = get("direction") if get("mode") == "adaptive" else f"psi {psi:g}"
    below = "" if get("cutoff") is None else f", layers below {get('cutoff')}"
    return f"{what}, {get('center')} center{below}"


def _log_folder(run: Run, folder: Path, metadata: dict[str, Any]) -> None:
    """All files of a folder as one artifact, named after the run."""
    import wandb

    name = re.sub(r"[^\w.-]", "-", f"{folder.name}-{run.id}")
    artifact = wandb.Artifact(name, type=folder.name, metadata=metadata)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        # immutable = no second copy on disk: parts are never written again
        artifact.add_file(str(file), name=file.relative_to(folder).as_posix(), policy="immutable")
    run.log_artifact(artifact)


def _lightning_logger(link: _Link, tracking: TrackingConfig, run_dir: Path) -> WandbLogger:
    """Lightning's logger, over a link. A class in a function, since importing its base takes seconds."""
    from lightning.pytorch.loggers import WandbLogger

    class LinkedLogger(WandbLogger):
        def _through(self, method: Callable[..., None], *args: Any, **kwargs: Any) -> None:
            def action(run: Run) -> None:
                self._experiment = run
                method(self, *args, **kwargs)

            link.attempt(action)

        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            self._through(WandbLogger.log_metrics, metrics, step)

        def log_hyperparams(self, params: Any) -> None:
            self._through(WandbLogger.log_hyperparams, params)

        def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
            self._through(WandbLogger.log_image, key, images, step, **kwargs)

    return LinkedLogger(project=tracking.project, save_dir=str(run_dir), experiment=link.run)


def _cell(value: Any) -> Any:
    """A value as W&B's tables take it: a list would become a nested type."""
    return ",".join(str(item) for item in value) if isinstance(value, list) else value


def _one_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
