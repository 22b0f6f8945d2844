"""The gate label_kept: an independent ensemble of classifiers still sees the class of the source."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from latreg.errors import LatregError
from latreg.interfaces import Columns
from latreg.validity.gate import Gate, Pairs
from latreg.validity.judge import Judge, count_votes, label_kept


class LabelKept(Gate):
    """The judge's answer is the class of the source, with at least some probability."""

    name = "label_kept"
    columns: ClassVar[Columns] = {
        "judge_votes": int,  # members of the judge that answer with this class
        "label_kept": bool,
    }
    needs = "judge"

    def __init__(self, judge: Judge, min_confidence: float = 0.0) -> None:
        if not 0 <= min_confidence <= 1:
            raise LatregError(f"validity.min_judge_confidence must lie in [0, 1], got {min_confidence}")
        self.judge = judge
        self.min_confidence = min_confidence

    def passed(self, pairs: Pairs) -> list[bool]:
        kept: list[bool] = self.judge.kept(pairs.candidates, pairs.labels, self.min_confidence).tolist()
        return kept

    def measure(self, pairs: Pairs) -> Mapping[str, Tensor]:
        opinions = self.judge.opinions(pairs.candidates)
        kept = label_kept(opinions, pairs.labels, self.min_confidence)
        return {"judge_votes": count_votes(opinions, pairs.labels), "label_kept": kept}
