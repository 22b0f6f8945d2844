"""The gates that a fault must pass to be a valid one, applied to the 8-bit images that are saved."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from latreg.config import ValidityConfig
from latreg.errors import LatregError
from latreg.images import to_unit
from latreg.interfaces import Appraisal, Verdict
from latreg.validity.judge import Judge, count_votes, label_kept
from latreg.validity.similarity import relative_l2, ssim

GATES = ("screened", "in_distribution", "label_kept")


class Gates:
    """All measurements of a candidate image, and which of the configured gates it passes.

    A verdict's `valid` speaks of the gates alone: a valid fault is a *wrong answer of the SUT* on an image that passes
    them. With no gates configured every image is valid, as in work that counts misclassification alone.
    """

    def __init__(self, config: ValidityConfig, judge: Judge, vae: None = None) -> None:
        """Set up the gates.

        Args:
            config: names and thresholds of the gates.
            judge: the ensemble behind `label_kept`.
            vae: the model behind `in_distribution`; there is none yet.

        Raises:
            LatregError: an unknown gate, a gate whose model is not there, or a threshold that cannot be met.
        """
        unknown = [name for name in config.gates if name not in GATES]
        if unknown:
            raise LatregError(f"validity.gates must be of {', '.join(GATES)}, got {', '.join(unknown)}")
        if "in_distribution" in config.gates and vae is None:
            raise LatregError(
                "the gate in_distribution needs a validity model and none is there; allowed without one are "
                + ", ".join(name for name in GATES if name != "in_distribution")
            )
        if not -1 <= config.min_ssim <= 1:
            raise LatregError(f"validity.min_ssim must lie in [-1, 1], got {config.min_ssim}")
        if not config.max_l2_rel >= 0:
            raise LatregError(f"validity.max_l2_rel must be at least 0, got {config.max_l2_rel}")
        if not 0 <= config.min_judge_confidence <= 1:
            raise LatregError(f"validity.min_judge_confidence must lie in [0, 1], got {config.min_judge_confidence}")
        self.config = config
        self.judge = judge

    def appraise(self, pairs: Sequence[Appraisal]) -> list[Verdict]:
        """The verdict on each candidate, against its source. It depends on that pair's images and label only."""
        if not pairs:
            return []
        sources = _images([pair.source.image for pair in pairs])
        candidates = _images([pair.candidate.image for pair in pairs])
        labels = torch.tensor([pair.source.label for pair in pairs])
        opinions = self.judge.opinions(candidates)
        columns = (
            ssim(sources, candidates).tolist(),
            relative_l2(sources, candidates).tolist(),
            count_votes(opinions, labels).tolist(),
            label_kept(opinions, labels, self.config.min_judge_confidence).tolist(),
        )
        return [self._verdict(*row) for row in zip(*columns, strict=True)]

    def _verdict(self, similarity: float, l2_rel: float, votes: int, kept: bool) -> Verdict:
        flags: dict[str, bool | None] = {
            "screened": similarity >= self.config.min_ssim and l2_rel <= self.config.max_l2_rel,
            "in_distribution": None,
            "label_kept": kept,
        }
        return Verdict(
            ssim=similarity,
            l2_rel=l2_rel,
            judge_votes=votes,
            label_kept=kept,
            screened=bool(flags["screened"]),
            vae_error=None,
            in_distribution=flags["in_distribution"],
            valid=all(flags[name] is True for name in self.config.gates),
        )


def _images(images: Sequence[np.ndarray]) -> Tensor:
    """uint8 images (C, H, W) => one float batch in [0, 1]."""
    return to_unit(torch.from_numpy(np.stack(images)))
