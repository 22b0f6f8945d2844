"""What a classifier made elsewhere answers with, as one tensor of a number for each image and class."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latreg.errors import LatregError

NAMES = {"logits": ("logits",), "probabilities": ("probabilities", "probs"), "scores": ("scores", "probabilities")}


def scores_of(answer: object, count: int, classes: int, outputs: str, chosen: str | None) -> Tensor:
    """The one output, of one or several, that holds a number for each image and class.

    Args:
        answer: a tensor or an array of any framework, nested lists, or a tuple, a dict or an object of several.
        count: images that were asked about.
        classes: K.
        outputs: as in `OwnClassifierConfig`; of several outputs that fit, it prefers the one of that name.
        chosen: name or position of the output; None = the one that fits.

    Returns:
        (N, K). Of two classes one number will do, of the second class; the first one's is 0 for logits, else the rest
        to 1.

    Raises:
        LatregError: there is no such output, none that fits, or more than one.
    """
    if isinstance(answer, Iterator):
        answer = list(answer)
    parts = dict(_parts(answer))
    if chosen is not None and len(parts) > 1 and chosen not in parts:
        raise LatregError(f"classifier.output must name one of {', '.join(map(repr, parts))}, got {chosen!r}")
    if chosen is not None and chosen in parts:
        parts = {chosen: parts[chosen]}
    fitting = {name: scores for name, part in parts.items() if (scores := _fitted(part, count, classes)) is not None}
    if len(fitting) > 1:
        named = [name for name in NAMES.get(outputs, ()) if name in fitting]
        fitting = {name: fitting[name] for name in named[:1] or fitting}
    if len(fitting) > 1:
        raise LatregError(
            f"the classifier has several outputs of a number for each image and class, {', '.join(map(repr, fitting))}:"
            f" classifier.output={next(iter(fitting))} chooses the first of them"
        )
    if not fitting:
        raise LatregError(_mismatch(answer, parts, count, classes))
    (scores,) = fitting.values()
    if scores.shape[1] == classes:
        return scores
    return torch.cat([torch.zeros_like(scores) if outputs == "logits" else 1 - scores, scores], 1)


def _parts(answer: object, name: str = "") -> Iterator[tuple[str, object]]:
    """The outputs, each with its name; those of a tuple are called 0, 1, .., those inside another a.b."""
    inner = f"{name}." if name else ""
    if isinstance(answer, Mapping):
        for key, part in answer.items():
            yield from _parts(part, f"{inner}{key}")
    elif isinstance(answer, tuple) and hasattr(answer, "_asdict"):
        yield from _parts(answer._asdict(), name)
    elif isinstance(answer, tuple | list) and not _is_table(answer):
        for number, part in enumerate(answer):
            yield from _parts(part, f"{inner}{number}")
    elif dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        fields = {field.name: getattr(answer, field.name) for field in dataclasses.fields(answer)}
        yield from _parts({key: part for key, part in fields.items() if part is not None}, name)
    elif _as_tensor(answer) is None and hasattr(answer, "logits"):
        yield f"{inner}logits", answer.logits
    else:
        yield name, answer


def _is_table(rows: tuple[object, ...] | list[object]) -> bool:
    """Whether a list holds numbers, or rows of numbers, and not several outputs."""
    scalars = all(isinstance(row, int | float | np.number) for row in rows)
    tensors = [_as_tensor(row) for row in rows]
    return scalars or (all(row is not None and row.ndim <= 1 for row in tensors) and _as_tensor(rows) is not None)


def _as_tensor(value: Any) -> Tensor | None:
    """Numbers in any clothing as float32; None where it is something else."""
    if isinstance(value, Tensor):
        return None if value.is_complex() or value.layout != torch.strided else value.detach().float()
    if not isinstance(value, np.ndarray | list | tuple) and callable(getattr(value, "numpy", None)):
        value = value.numpy()  # an eager tensor of another framework
    if isinstance(value, list) and value and all(isinstance(row, Tensor) for row in value):
        value = [row.detach().cpu().numpy() for row in value]
    try:
        array = np.asarray(value)
        return torch.from_numpy(array.astype(np.float32)) if array.dtype.kind in "fiub" else None
    except Exception:  # rows of several lengths, types of somebody else's
        return None


def _fitted(part: object, count: int, classes: int) -> Tensor | None:
    """The scores (N, K) or (N, 1) in an output, None where these are none."""
    scores = _as_tensor(part)
    if scores is None:
        return None
    if scores.shape == (count, classes):
        return scores
    if count == 1 and scores.shape == (classes,):  # squeezed
        return scores[None]
    if scores.ndim == 4 and scores.shape[2:] == (1, 1):  # a network of convolutions alone
        return _fitted(scores.flatten(1), count, classes)
    one_each = scores.shape in ((count,), (count, 1)) and classes == 2 and _are_floats(part)
    return scores.reshape(count, 1) if one_each else None


def _are_floats(part: object) -> bool:
    """Whole numbers, one for each image, are classes and no scores."""
    if isinstance(part, Tensor):
        return part.is_floating_point()
    array: Any = part.numpy() if hasattr(part, "numpy") else part
    return bool(np.asarray(array).dtype.kind == "f")


def _mismatch(answer: object, parts: Mapping[str, object], count: int, classes: int) -> str:
    wanted = (
        f"the classifier must answer {count} images with one number for each of the {classes} classes of the data set, "
        f"{(count, classes)}, got "
    )
    only = next(iter(parts.values()), None)
    if len(parts) == 1 and (scores := _as_tensor(only)) is not None:
        hint = ", one for each image as class numbers are" if scores.shape == (count,) else ""
        return f"{wanted}{tuple(scores.shape)}{hint}"
    listed = ", ".join(_described(*part) for part in list(parts.items())[:8])
    return f"{wanted}a {type(answer).__name__}: {listed or 'nothing'}{' ..' if len(parts) > 8 else ''}"


def _described(name: str, part: object) -> str:
    scores = _as_tensor(part)
    found: Any = type(part).__name__ if scores is None else tuple(scores.shape)
    return f"{name} {found}" if name else str(found)
