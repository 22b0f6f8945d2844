"""The measurement held_out: does a classifier that has no part in gates or search still see the class of the source?"""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from latreg.interfaces import Columns
from latreg.validity.gate import Gate, Pairs
from latreg.validity.judge import Judge, label_kept


class HeldOut(Gate):
    """It checks the other gates, so it cannot be one of them. A search that pleases them is not pleased by it."""

    name = "held_out"
    columns: ClassVar[Columns] = {
        "held_out_confidence": float,  # the probability that it gives the class
        "held_out": bool,
    }
    needs = "held_out"
    decides = False

    def __init__(self, held_out: Judge) -> None:
        self.held_out = held_out

    def measure(self, pairs: Pairs) -> Mapping[str, Tensor]:
        opinions = self.held_out.opinions(pairs.candidates)
        confidence = opinions.mean(0).gather(1, pairs.labels[:, None])[:, 0].double()
        return {"held_out_confidence": confidence, "held_out": label_kept(opinions, pairs.labels)}
