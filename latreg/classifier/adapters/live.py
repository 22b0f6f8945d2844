"""Classifiers that live in a Python session: a module or a function that the caller holds and no file does."""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.bytecode import digest_of, tensors_of
from latreg.classifier.adapters.function import asking
from latreg.classifier.adapters.importing import imported
from latreg.classifier.adapters.module import answering
from latreg.config import DatasetConfig, LiveFunctionConfig, LiveModuleConfig
from latreg.errors import LatregError, reason
from latreg.zoo import weights

_live: ContextVar[Any] = ContextVar("live classifier", default=None)


@contextmanager
def at_hand(classifier: Any) -> Iterator[None]:
    """Inside, a configuration of a live classifier stands for this one; None = for none."""
    token = _live.set(classifier)
    try:
        yield
    finally:
        _live.reset(token)


def load_live(config: LiveModuleConfig | LiveFunctionConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """The classifier that is at hand.

    A module is copied, so that neither its mode nor its device changes for the caller, nor its weights under the
    search. Its id is made of its state_dict and of its code, as far as `bytecode.digest_of` reaches.

    Raises:
        LatregError: none is at hand, or not one of the kind, or it cannot be copied.
    """
    live = _live.get()
    name = config.function if isinstance(config, LiveFunctionConfig) else config.network
    if live is None:
        raise LatregError(
            f"the classifier {name} was an object of a Python session, which no file holds: "
            "latreg.open_run(folder, classifier) opens its runs where it is at hand"
        )
    if isinstance(live, nn.Module) != isinstance(config, LiveModuleConfig):
        raise LatregError(f"expected the classifier {name}, got {name_of(live)}")
    code = {f"the code of {name}": digest_of(live)}
    if isinstance(config, LiveFunctionConfig):
        asked = asking(config, live)
        return replace(asked, files={**asked.files, **code})
    try:
        network = answering(copy.deepcopy(live), device)
        id = hashlib.sha256(f"{name_of(live)}\n{weights.sha256_of(tensors_of(network))}".encode()).hexdigest()
    except Exception as error:  # a module of somebody else's may hold anything
        raise LatregError(f"the module {name} cannot be copied: {reason(error)}") from error

    return Model(network, {f"the weights of {name}": id, **code})


def name_of(classifier: Any) -> str:
    """The import path of a function, or of an object's class, whether or not it can be imported."""
    named = classifier if hasattr(classifier, "__qualname__") else type(classifier)
    return f"{named.__module__}.{named.__qualname__}"


def is_importable(function: Any) -> bool:
    """Whether other processes find this very function by its import path."""
    path = name_of(function)
    if function.__module__ == "__main__" or "<" in path:
        return False
    try:
        return imported("the classifier", path) is function
    except LatregError:
        return False
