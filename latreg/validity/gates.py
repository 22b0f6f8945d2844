"""The gates that a fault must pass to be a valid one, applied to the 8-bit images that are saved."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from latreg.config import ValidityConfig
from latreg.data.images import to_unit
from latreg.errors import LatregError
from latreg.interfaces import Appraisal, Verdict
from latreg.validity.judge import Judge, count_votes, label_kept
from latreg.validity.perceptual import PerceptualDistance
from latreg.validity.similarity import relative_l2, ssim
from latreg.validity.vae import ValidityModel

GATES = ("screened", "in_distribution", "label_kept")


class Gates:
    """All measurements of a candidate image, and which of the configured gates it passes.

    A verdict's `valid` speaks of the gates alone: a valid fault is a *wrong answer of the SUT* on an image that passes
    them. With no gates configured every image is valid, as in work that counts misclassification alone.
    """

    def __init__(
        self,
        config: ValidityConfig,
        judge: Judge | None,
        vae: ValidityModel | None = None,
        lpips: PerceptualDistance | None = None,
    ) -> None:
        """Set up the gates.

        Args:
            config: names and thresholds of the gates.
            judge: the ensemble behind `label_kept`; None = not measured.
            vae: the model behind `in_distribution`; None = not measured.
            lpips: a distance that is measured and no gate; None = not measured.

        Raises:
            LatregError: an unknown gate, a gate whose model is not there, or a threshold that cannot be met.
        """
        unknown = [name for name in config.gates if name not in GATES]
        if unknown:
            raise LatregError(f"validity.gates must be of {', '.join(GATES)}, got {', '.join(unknown)}")
        for gate, setting, model in (("in_distribution", "vae", vae), ("label_kept", "judge", judge)):
            if gate in config.gates and model is None:
                raise LatregError(
                    f"the gate {gate} needs validity.{setting}, but there is none; take it out of "
                    f"validity.gates, which is [{', '.join(config.gates)}]"
                )
        if not -1 <= config.min_ssim <= 1:
            raise LatregError(f"validity.min_ssim must lie in [-1, 1], got {config.min_ssim}")
        if not config.max_l2_rel >= 0:
            raise LatregError(f"validity.max_l2_rel must be at least 0, got {config.max_l2_rel}")
        if not 0 <= config.min_judge_confidence <= 1:
            raise LatregError(f"validity.min_judge_confidence must lie in [0, 1], got {config.min_judge_confidence}")
        self.config = config
        self.judge = judge
        self.vae = vae
        self.lpips = lpips

    def appraise(self, pairs: Sequence[Appraisal]) -> list[Verdict]:
        """The verdict on each candidate, against its source. It depends on that pair's images and label only."""
        if not pairs:
            return []
        sources = _images([pair.source.image for pair in pairs])
        candidates = _images([pair.candidate.image for pair in pairs])
        labels = torch.tensor([pair.source.label for pair in pairs])
        columns = (
            ssim(sources, candidates).tolist(),
            relative_l2(sources, candidates).tolist(),
            self.lpips(sources, candidates).tolist() if self.lpips else [None] * len(pairs),
            *self._judged(candidates, labels),
            self.vae.errors(candidates).tolist() if self.vae else [None] * len(pairs),
        )
        return [self._verdict(*row) for row in zip(*columns, strict=True)]

    def _judged(self, candidates: Tensor, labels: Tensor) -> tuple[list[int | None], list[bool | None]]:
        """Votes, and whether the label is kept."""
        if self.judge is None:
            return [None] * len(labels), [None] * len(labels)
        opinions = self.judge.opinions(candidates)
        kept = label_kept(opinions, labels, self.config.min_judge_confidence)
        return count_votes(opinions, labels).tolist(), kept.tolist()

    def _verdict(
        self,
        similarity: float,
        l2_rel: float,
        lpips: float | None,
        votes: int | None,
        kept: bool | None,
        vae_error: float | None,
    ) -> Verdict:
        screened = similarity >= self.config.min_ssim and l2_rel <= self.config.max_l2_rel
        known = None if self.vae is None or vae_error is None else vae_error <= self.vae.threshold
        passed = {"screened": screened, "in_distribution": known, "label_kept": kept}
        return Verdict(
            ssim=similarity,
            l2_rel=l2_rel,
            lpips=lpips,
            judge_votes=votes,
            label_kept=kept,
            screened=screened,
            vae_error=vae_error,
            in_distribution=known,
            valid=all(passed[name] is True for name in self.config.gates),
        )


def _images(images: Sequence[np.ndarray]) -> Tensor:
    """uint8 images (C, H, W) => one float batch in [0, 1]."""
    return to_unit(torch.from_numpy(np.stack(images)))
