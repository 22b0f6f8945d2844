"""Batches whose size does not decide the last bits of an answer.

CPU kernels treat one or two rows otherwise than many, and what is left over of full vectors otherwise than the rest. A
search renders and classifies whatever is asked at the moment, so its results would depend on what runs beside them.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.errors import NotFiniteError

ROWS = 8  # from this multiple on, no kernel used here was seen to differ


def filled(batch: Tensor, multiple: int = ROWS) -> Tensor:
    """A batch (N, ..) with zeros behind it up to a multiple of rows; of none, as many zeros as one multiple."""
    lacking = -len(batch) % multiple if len(batch) else multiple
    return F.pad(batch, (0, 0) * (batch.ndim - 1) + (0, lacking)) if lacking else batch


def in_batches(answer: Callable[[Tensor], Tensor], images: Tensor, batch: int, dim: int = 0) -> Tensor:
    """Ask about images (N, C, H, W) in batches that are filled up with black, and join the answers on the CPU.

    Args:
        answer: images (n, C, H, W) => a tensor with n entries along `dim`.
        images: N of them; none are asked as one batch of black ones.
        batch: images per call, which are filled up to a multiple of ROWS, or of `batch` where that is less.
        dim: of the answers, along which the images lie.

    Raises:
        NotFiniteError: of `answer`, with the number of the image among all of them.
    """
    chunks = torch.split(images, batch) if len(images) else [images]
    answers: list[Tensor] = []
    for number, chunk in enumerate(chunks):
        try:
            answers.append(answer(filled(chunk, min(ROWS, batch))).cpu())
        except NotFiniteError as error:
            place = min(number * batch + error.image, len(images) - 1)  # black ones behind stand for the last
            raise NotFiniteError(error.network, place) from error
    return torch.cat([a.narrow(dim, 0, len(chunk)) for a, chunk in zip(answers, chunks, strict=True)], dim=dim)
