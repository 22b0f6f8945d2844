"""Leave the Python session that calls as it was: a notebook has its own log, random numbers and threads."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

_one_at_a_time = threading.RLock()  # the seeding of latents and Hydra are global to a process


@contextmanager
def undisturbed() -> Iterator[None]:
    """Work of one thread at a time, which leaves torch's random numbers and settings and the environment alone."""
    with _one_at_a_time:
        environment, tf32 = dict(os.environ), torch.backends.cudnn.allow_tf32
        try:
            with torch.random.fork_rng(devices=()):
                yield
        finally:
            torch.backends.cudnn.allow_tf32 = tf32
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update(environment)


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Write latreg's messages to a file as the command line does; what the session itself shows stays the same."""
    logger = logging.getLogger("latreg")
    before = logger.level, logger.propagate
    file = logging.FileHandler(path)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handlers = (file, _Onward(logger))
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.level, logger.propagate = before
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


class _Onward(logging.Handler):
    """Passes on what the loggers above would have been told without a file beside them."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger.getEffectiveLevel())
        self._above = logger.parent if logger.propagate else None

    def emit(self, record: logging.LogRecord) -> None:
        if self._above is not None:
            self._above.handle(record)
