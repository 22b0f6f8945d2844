"""When a source may be searched, and how sure the SUT is of it."""

from dataclasses import dataclass

from latreg.interfaces import Evaluation


@dataclass(frozen=True)
class BaselineGate:
    """A source is accepted if the SUT classifies it as c, confidently enough and with enough margin.

    Accepted sources whose second class has less than `min_second` are not worth more than their first query.
    """

    min_confidence: float = 0.0
    min_margin: float = 0.0
    min_second: float = 0.0

    def rejects(self, source: Evaluation) -> str | None:
        """Why the source is not accepted, None where it is."""
        if source.flipped:
            return "misclassified"
        if source.confidence < self.min_confidence:
            return "confidence"
        if source.margin < self.min_margin:
            return "margin"
        return None

    def passes_over(self, source: Evaluation) -> bool:
        """Whether the SUT is too sure of an accepted source for a search to be worthwhile."""
        return second_probability(source) < self.min_second


def second_probability(source: Evaluation) -> float:
    """p of the second most probable class."""
    return float(sorted(source.probabilities)[-2])


def stratum(source: Evaluation, confident_below: float) -> str:
    """`confident` where the second class has less than the given probability, else `uncertain`."""
    return "confident" if second_probability(source) < confident_below else "uncertain"
