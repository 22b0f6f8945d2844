"""Gradients of a system under test with respect to w: what a white box knows, and a search by answers does not."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


class WhiteBox:
    """Differentiates generator and classifier together; the 8-bit rounding between them counts as the identity.

    Args:
        synthesize: w (1, L, w_dim) => images (1, C, H, W), about [0, 1], in plain modules of torch.
        logits: images in [0, 1] => logits (1, K), likewise.
    """

    def __init__(self, synthesize: Callable[[Tensor], Tensor], logits: Callable[[Tensor], Tensor]) -> None:
        self.synthesize = synthesize
        self.logits = logits

    @torch.inference_mode(False)
    @torch.enable_grad()
    def __call__(self, w: Tensor, label: int) -> np.ndarray:
        """The gradient (w_dim,) of the logit of the class less the next best one, along w (1, L, w_dim) on all layers.

        The difference of logits is that of the log-odds, which does not vanish where the SUT is sure.
        """
        offset = torch.zeros(w.shape[-1], device=w.device, requires_grad=True)
        (logits,) = self.logits(self.synthesize(w.clone() + offset).clamp(0, 1))
        others = torch.cat([logits[:label], logits[label + 1 :]])
        (gradient,) = torch.autograd.grad(logits[label] - others.max(), offset)
        return gradient.cpu().numpy()
