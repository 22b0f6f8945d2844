"""Networks of the gates are shown batches of one size: the last bits of an answer may depend on how many are asked."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def in_full_batches(answer: Callable[[Tensor], Tensor], images: Tensor, batch: int, dim: int = 0) -> Tensor:
    """Ask about images (N, C, H, W) in batches that are filled up with black, and join the answers on the CPU.

    Args:
        answer: images (batch, C, H, W) => a tensor with `batch` entries along `dim`.
        images: N of them; none are asked as one empty batch.
        batch: images per call.
        dim: of the answers, along which the images lie.
    """
    chunks = torch.split(images, batch) if len(images) else [images]
    answers = [answer(F.pad(chunk, (0, 0) * 3 + (0, batch - len(chunk)))).cpu() for chunk in chunks]
    return torch.cat([a.narrow(dim, 0, len(chunk)) for a, chunk in zip(answers, chunks, strict=True)], dim=dim)
