"""The gate typical: the image lies as close to real images of its class as these do."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from latreg.interfaces import Columns
from latreg.validity.density import ClassDensity
from latreg.validity.gate import Gate, Pairs


class Typical(Gate):
    """Its distance from the class of the source is not above the threshold."""

    name = "typical"
    columns: ClassVar[Columns] = {
        "class_distance": float,  # Mahalanobis, in the features of a classifier that is neither SUT nor judge
        "typical": bool,
    }
    needs = "density"

    def __init__(self, density: ClassDensity) -> None:
        self.density = density

    def measure(self, pairs: Pairs) -> Mapping[str, Tensor]:
        distances = self.density.distances(pairs.candidates, pairs.labels)
        return {"class_distance": distances, "typical": distances <= self.density.threshold}
