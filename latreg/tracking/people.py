"""What people said of a study, as a run of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latreg.runs.folder import flatten
from latreg.tracking.link import Link

if TYPE_CHECKING:
    from wandb import Run

    from latreg.config import TrackingConfig

NUMBERS = ("pictures", "answered", "krippendorff_alpha", "judge", "sut")


def log_people(tracking: TrackingConfig, folder: Path, dataset: str, found: Mapping[str, Any]) -> None:
    """Log the numbers of `latreg.agreement` as a run of job type `people`: a summary and two tables.

    Args:
        tracking: the `tracking` group.
        folder: of the study, which also holds what W&B writes.
        dataset: name of the data set.
        found: the content of agreement.json.
    """
    described = {"dataset": {"name": dataset}, "annotators": list(found["annotators"])}
    name = f"{dataset}, people"
    link = Link(tracking, described, folder, "people", name=name, begin=lambda run: None, job_type="people")
    numbers = {name: found[name] for name in NUMBERS} | {f"faults_{kind}": found["cells"][kind] for kind in _ALL}
    link.attempt(lambda run: run.summary.update(flatten(numbers)))
    cells = {name: of for name, of in found["cells"].items() if name not in _ALL}
    link.attempt(lambda run: _log_table(run, "people/cells", "search", cells, ("faults", "valid", "valid_rate")))
    columns = ("pictures", "real", "real_named_right", "plausible")
    link.attempt(lambda run: _log_table(run, "people/annotators", "annotator", found["annotators"], columns))
    link.close(failed=False)


_ALL = ("all", "robust")  # no cells, but the faults of all of them


def _log_table(run: Run, key: str, name: str, rows: Mapping[str, Any], columns: Sequence[str]) -> None:
    import wandb

    table = wandb.Table(columns=[name, *columns])
    for row, of in rows.items():
        table.add_data(row, *(of[column] for column in columns))
    run.log({key: table})
