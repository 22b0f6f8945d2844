"""Batches, and how libraries are asked whose kernels treat one or two rows otherwise than many."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.errors import NotFiniteError

ROWS = 8  # from this multiple on, no kernel used here was seen to differ


def filled(batch: Tensor, multiple: int = ROWS) -> Tensor:
    """A batch (N, ..) with zeros behind it up to a multiple of rows; of none, as many zeros as one multiple."""
    lacking = -len(batch) % multiple if len(batch) else multiple
    return F.pad(batch, (0, 0) * (batch.ndim - 1) + (0, lacking)) if lacking else batch


@contextmanager
def placed(places: Sequence[int]) -> Iterator[None]:
    """Have a NotFiniteError name an image by its place among all, where some of them are asked about."""
    try:
        yield
    except NotFiniteError as error:
        raise NotFiniteError(error.network, places[error.image]) from error


def in_batches(answer: Callable[[Tensor], Tensor], images: Tensor, batch: int, dim: int = 0) -> Tensor:
    """Ask about images (N, C, H, W) in batches, and join the answers on the CPU.

    Args:
        answer: images (n, C, H, W) => a tensor with n entries along `dim`, which say of an image the same in any batch.
        images: N of them.
        batch: images per call.
        dim: of the answers, along which the images lie.

    Raises:
        NotFiniteError: of `answer`, with the number of the image among all of them.
    """
    answers: list[Tensor] = []
    for number, chunk in enumerate(torch.split(images, batch)):
        with placed(range(number * batch, len(images))):
            answers.append(answer(chunk).cpu())
    return torch.cat(answers, dim=dim)
