"""The gate screened: the image still looks like the one it came from."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from latreg.errors import LatregError
from latreg.interfaces import Columns
from latreg.validity.gate import Gate, Pairs
from latreg.validity.similarity import relative_l2, ssim


class Screened(Gate):
    """Similar to the source in structure and in pixels."""

    name = "screened"
    columns: ClassVar[Columns] = {
        "ssim": float,  # structural similarity to the source, 1 = equal
        "l2_rel": float,  # ||source - image|| / ||source||
        "screened": bool,
    }

    def __init__(self, min_ssim: float, max_l2_rel: float) -> None:
        if not -1 <= min_ssim <= 1:
            raise LatregError(f"validity.min_ssim must lie in [-1, 1], got {min_ssim}")
        if not max_l2_rel >= 0:
            raise LatregError(f"validity.max_l2_rel must be at least 0, got {max_l2_rel}")
        self.min_ssim = min_ssim
        self.max_l2_rel = max_l2_rel

    def measure(self, pairs: Pairs) -> Mapping[str, Tensor]:
        similarity, distance = (of(pairs.sources, pairs.candidates).double() for of in (ssim, relative_l2))
        similar = (similarity >= self.min_ssim) & (distance <= self.max_l2_rel)
        return {"ssim": similarity, "l2_rel": distance, "screened": similar}
