"""Classifiers of stripes in the forms that other people's have: what they answer with, and how."""

from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from tests.helpers.small_net import Eye

Pair = namedtuple("Pair", "logits features")


class Wrapped(Eye):
    """Answers as `form` says; its weights are those of `Eye`, which is right on all stripes."""

    def __init__(self, form: str = "plain") -> None:
        super().__init__()
        self.form = form

    def forward(self, images: Tensor) -> object:
        logits = super().forward(images)
        return FORMS[self.form](logits, images)


FORMS = {
    "plain": lambda x, images: x,
    "log probabilities": lambda x, images: x.log_softmax(1),
    "tuple": lambda x, images: (x, images.flatten(1)),
    "features first": lambda x, images: (images.flatten(1), x),
    "nested": lambda x, images: ({"head": (x,)}, images.mean()),
    "named tuple": Pair,
    "dict": lambda x, images: {"labels": x.argmax(1), "logits": x, "loss": x.mean()},
    "object": lambda x, images: SimpleNamespace(logits=x, attentions=None),
    "two heads": lambda x, images: (x, x.flip(1)),
    "with auxiliary logits": lambda x, images: {"aux_logits": x.flip(1), "logits": x},
    "squeezed": lambda x, images: x.squeeze(),
    "one pixel maps": lambda x, images: x[:, :, None, None],
    "half": lambda x, images: x.half(),
    "probabilities": lambda x, images: x.softmax(1),
    "sigmoids": lambda x, images: (x - 5).sigmoid(),
    "percent": lambda x, images: 100 * x.softmax(1),
    "bytes": lambda x, images: (255 * x.softmax(1)).round(),
    "votes": lambda x, images: (5 * x.softmax(1)).round(),
    "cosines": lambda x, images: x / 100 - 0.05,
    "dropout": lambda x, images: nn.functional.dropout(x, 0.2, True),
    "noise": lambda x, images: x + 0.05 * torch.randn_like(x),
    "of the batch": lambda x, images: (x - x.mean(0)) / x.std(0, correction=0).clamp(min=0.1),
    "ranked in the batch": lambda x, images: x * (1 + torch.arange(len(x))[:, None] / len(x)),
    "class numbers": lambda x, images: x.argmax(1),
    "eleven": lambda x, images: torch.cat([x, x], 1),
    "nothing": lambda x, images: None,
    "text": lambda x, images: {"label": "left", "score": 0.5},
    "nan": lambda x, images: x * float("nan"),
}

_eye = Eye()


@torch.no_grad()
def _probabilities(images: np.ndarray) -> np.ndarray:
    return _eye(torch.from_numpy(images)).softmax(1).numpy()


calls: list[int] = []


def as_dict(images):
    return {"probabilities": _probabilities(images)}


def generator(images):
    return (row for row in _probabilities(images))


def eager(images):
    return SimpleNamespace(numpy=lambda: _probabilities(images))


def rows_of_tensors(images):
    return [torch.from_numpy(row) for row in _probabilities(images)]


def half(images):
    return _probabilities(images).astype(np.float16)


def class_numbers(images):
    calls.append(len(images))
    return _probabilities(images).argmax(1)


def pipeline(images):
    return [[{"label": "left", "score": float(p)} for p in row] for row in _probabilities(images)]
