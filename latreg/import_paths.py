"""Things that settings name by their import path, as my_module.Net."""

import logging
from typing import Any

from hydra.utils import get_object


def named_by(path: str) -> Any:
    """What an import path names; modules in the working directory are found.

    Hydra also writes each failure to the log, which would tell it a second time, so its log is off meanwhile.

    Raises:
        Exception: it cannot be imported; code of somebody else's may raise anything while it is.
    """
    log = logging.getLogger(get_object.__module__)
    before, log.disabled = log.disabled, True
    try:
        return get_object(path)
    finally:
        log.disabled = before
