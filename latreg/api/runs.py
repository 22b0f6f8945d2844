"""Runs as they lie on disk: what a search found, to look at, to count and to verify."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.Image import Image

from latreg.api.models import Classifier
from latreg.api.session import undisturbed
from latreg.classifier.adapters.live import at_hand
from latreg.config import Config
from latreg.errors import LatregError
from latreg.interfaces import BoundaryRecord
from latreg.json_files import read_names
from latreg.replay import problems
from latreg.runs import records, strips
from latreg.runs.columns import CLASSES
from latreg.runs.faults import KINDS, ROBUST, fault_of, is_kind, read_fitting
from latreg.runs.folder import read_status
from latreg.runs.saved_config import load_run_config

if TYPE_CHECKING:
    import datasets
    import pandas

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Faults:
    """Images that the classifier gets wrong.

    Attributes:
        images: (N, C, H, W) uint8, to the bit what the classifier saw.
        labels: the class that each was made for, (N,) int64.
        predicted: what the classifier says, (N,) int64.
        z_seeds: of the source that each was found from, (N,) int64.
    """

    images: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    z_seeds: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


class Run:
    """The folder of a search. `latreg.search` and `latreg.open_run` make one.

        >>> run = latreg.open_run("multirun/mnist_hunt/2026-11-28_10-00-00/0")
        >>> run.metrics["valid_faults"], len(run.faults())

    Attributes:
        path: of the folder.
    """

    def __init__(self, path: Path, live: Any = None) -> None:
        self.path = path
        self._live = live

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.status.get('state', 'without a status')})"

    @cached_property
    def config(self) -> Config:
        """Every setting: run.config.search.sources_per_class."""
        return load_run_config(self.path)

    @property
    def status(self) -> dict[str, Any]:
        """Its state, versions, and sha256 of the weights, as status.json holds them now."""
        return read_status(self.path)

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers of a finished run: run.metrics["valid_faults"].

        Raises:
            LatregError: it is not finished.
        """
        path = self.path / "metrics.json"
        if not path.is_file():
            raise LatregError(f"expected a finished run in {self.path}, but its state is {self.status.get('state')}")
        return read_names(path)

    def records(self) -> "datasets.Dataset":
        """One row per source: how to make its images again, the images, the answers, every verdict.

        Examples:
            >>> run.records().filter(lambda row: row["valid_fault"])[0]["first_image"]
        """
        import datasets

        found = datasets.Dataset(records.read_columns(self.path))
        classes = datasets.ClassLabel(names=list(self.config.dataset.class_names))
        for name in CLASSES:
            found = found.cast_column(name, classes)
        return found

    def faults(self, kind: str = ROBUST) -> Faults:
        """The faults of a kind; there may be none.

        >>> faults = run.faults()
        >>> net(torch.from_numpy(faults.images).float() / 255).argmax(1)

        Args:
            kind: robust: the most severe valid images, wrong by a margin of 0.1 or in each of ten draws of noise;
                valid: on the boundary; flipped: there too, whatever the gates say.

        Raises:
            LatregError: there is no such kind, or the run did not measure it.
        """
        if kind not in KINDS:
            raise LatregError(f"kind must be {', '.join(KINDS[:-1])} or {KINDS[-1]}, got {kind!r}")
        rows = self._flipped()
        if kind == ROBUST and any(row.valid_fault and row.robust_fault is None for row in rows):
            raise LatregError(f"{self.path} did not measure which faults are robust: ask for the kind valid")
        found = [fault for row in rows if is_kind(row, kind) and (fault := fault_of(row, kind))]
        size = self.config.dataset.resolution
        images = [fault.image for fault in found]
        return Faults(
            images=np.stack(images) if images else np.empty((0, self.config.dataset.channels, size, size), np.uint8),
            labels=np.array([fault.record.label for fault in found], dtype=np.int64),
            predicted=np.array([fault.predicted for fault in found], dtype=np.int64),
            z_seeds=np.array([fault.record.z_seed for fault in found], dtype=np.int64),
        )

    def show(self, n: int = 8) -> Image:
        """A picture of the n best pairs, which a notebook displays: robust faults, then valid ones, then flips."""
        return strips.examples(self._flipped(), self.config.dataset.class_names, n)

    def replay(self, trust: bool = False) -> int:
        """Render every boundary pair again and show it to the classifier; how many hold. A warning names the others.

        >>> run.replay() == len(run.faults("flipped"))
        True

        Args:
            trust: run code that the run's config.yaml names, of a generator or a classifier that is not latreg's.

        Raises:
            LatregError: the networks of the run are not there, or not the same any more, or it names code while
                `trust` is off.
        """
        with undisturbed(), at_hand(self._live):
            found = list(problems(self.path, trust))
        for record, problem in found:
            if problem is not None:
                log.warning("class %d, z_seed %d: %s", record.label, record.z_seed, problem)
        return sum(problem is None for _, problem in found)

    def _flipped(self) -> list[BoundaryRecord]:
        return [record for record in read_fitting(self.path, self.config.dataset) if record.flipped]


def open_run(path: str | Path, model: Classifier | None = None) -> Run:
    """A run from its folder, of the command line or of `latreg.search`.

        >>> latreg.open_run("multirun/mnist_hunt/2026-11-28_10-00-00/0").show()

    Args:
        path: of the folder.
        model: the classifier, which `replay` needs where it was an object of a Python session.

    Raises:
        LatregError: it is no folder of a run.
    """
    run = Run(Path(path).absolute(), model)
    assert run.config  # read now, so that a wrong path is told now
    return run


def compare(runs: Iterable[Run | str | Path]) -> "pandas.DataFrame":
    """The report's table: a row for each strategy, truncation and stratum, with rates, costs and 95 % intervals.

        >>> latreg.compare([run, other])[["strategy", "stratum", "valid_faults", "queries_per_valid_fault"]]

    Args:
        runs: finished runs, or folders of them, or that hold some. What differs in other settings, such as the
            classifier, stands in the column `variant`. What a reader should know of them is a warning.

    Raises:
        LatregError: there is no finished search, one source is there twice under the same settings, or the extra
            `report` is missing.
    """
    import pandas

    try:
        from latreg.report.aggregate import cell_rows
        from latreg.report.runs import read_study
    except ModuleNotFoundError as error:
        raise LatregError(f"latreg.compare needs {error.name}: pip install 'latreg[report]'") from error
    study = read_study([run.path if isinstance(run, Run) else Path(run) for run in runs])
    for note in study.notes:
        log.warning("%s", note)
    return pandas.DataFrame([row.raw() for row in cell_rows(study)])
