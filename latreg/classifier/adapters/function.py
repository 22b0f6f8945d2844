"""Classifiers as plain Python functions, which may ask a remote service."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.code import code_files
from latreg.classifier.adapters.importing import imported
from latreg.config import CallableClassifierConfig, DatasetConfig
from latreg.errors import LatregError, reason

log = logging.getLogger(__name__)


def load_function(config: CallableClassifierConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """A function by its import path: see `asking`."""
    return asking(config)


def asking(config: CallableClassifierConfig, function: Callable[..., object] | None = None) -> Model:
    """A function as a classifier. Its id is made of its import path, the version and the code of its modules.

    What else it answers from, files or a service, is not known: that is what the version is for.

    Args:
        config: with the path.
        function: what the path stands for; None = it is imported.

    Raises:
        LatregError: it cannot be imported, or a setting is out of its range.
    """
    if config.weights is not None:
        raise LatregError(f"classifier.weights must be null for classifier=callable, got {config.weights}")
    if config.retries < 0 or config.wait < 0:
        raise LatregError(
            f"classifier.retries and classifier.wait must be at least 0, got {config.retries} and {config.wait:g}"
        )
    asked = function or imported("classifier.function", config.function)

    def answer(images: Tensor) -> object:
        batch = images.cpu().numpy()
        for attempt in range(config.retries + 1):
            try:
                answers = asked(batch)
                return list(answers) if isinstance(answers, Iterator) else answers
            except Exception as error:  # a service may fail in any way
                problem = reason(error)
                if attempt == config.retries:
                    raise LatregError(
                        f"classifier.function={config.function} failed {attempt + 1} times on {len(batch)} images, the "
                        f"last time with {problem}; what was found before is saved"
                    ) from error
                log.warning(
                    "%s failed, attempt %d of %d: %s", config.function, attempt + 1, config.retries + 1, problem
                )
                time.sleep(config.wait * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    name = hashlib.sha256(f"{config.function}\n{config.version}".encode()).hexdigest()
    return Model(answer, {"classifier.function": name, **code_files(asked, config.function)})
