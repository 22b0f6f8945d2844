"""A training in Weights & Biases: the logger that Lightning is given."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latreg.tracking.link import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lightning.pytorch.loggers import WandbLogger
    from wandb import Run

    from latreg.config import TrackingConfig


@contextmanager
def lightning_logger(
    tracking: TrackingConfig,
    config: dict[str, Any],
    run_dir: Path,
    group: str,
    *,
    x_axis: str | None = None,
) -> Iterator[WandbLogger | None]:
    """A logger for Lightning for as long as the block lasts; None where there is no tracking.

    Give a Trainer `logger or False`, since None would make it write a log of its own.

    Args:
        tracking, config, run_dir, group: as for `Tracker`.
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
    link = Link(tracking, config, run_dir, group, name=group, begin=begin)
    failed = True
    try:
        yield _lightning_logger(link, tracking, run_dir) if link.run else None
        failed = False
    finally:
        link.close(failed)


def _lightning_logger(link: Link, tracking: TrackingConfig, run_dir: Path) -> WandbLogger:
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
