"""What a gate is: a question about a fault's image, with numbers and a flag that become columns of the records."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from latreg.interfaces import Columns, Value


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images to be judged beside those they came from, (N, C, H, W) float in [0, 1] on the CPU."""

    sources: Tensor
    candidates: Tensor
    labels: Tensor  # (N,) int64, the class that each source was made for

    def of(self, places: Sequence[int]) -> "Pairs":
        """Those at these places."""
        return Pairs(*(part[list(places)] for part in (self.sources, self.candidates, self.labels)))


class Gate(ABC):
    """One gate. Gates combine: `a & b` is passed by what passes both.

    Attributes:
        name: in `validity.gates`, and of its flag.
        columns: what it adds to a record: numbers, int or float, and its flag, a bool under its own name. Without a
            flag it is no gate but a mere measurement.
        needs: the model that its constructor takes under this name: judge, vae, density, lpips or held_out, None =
            none. Where the configuration has no such model, the columns are None.
        decides: False = it is measured, and `validity.gates` must not name it.
    """

    name: ClassVar[str]
    columns: ClassVar[Columns]
    needs: ClassVar[str | None] = None
    decides: ClassVar[bool] = True

    @abstractmethod
    def measure(self, pairs: Pairs) -> Mapping[str, Tensor]:
        """Each of its columns, (N,). What it says of a pair must not depend on the other pairs."""

    def passes(self, measured: Mapping[str, Value]) -> bool:
        """Whether an image passes, by what was measured of it; what was not measured is not passed."""
        return measured[self.name] is True

    def passed(self, pairs: Pairs) -> list[bool]:
        """Whether each passes, (N,), where nobody wants to know what was measured."""
        columns = {name: values.tolist() for name, values in self.measure(pairs).items()}
        return [self.passes(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]

    def __and__(self, other: "Gate | All") -> "All":
        return All(self, other)


class All:
    """Several gates, each of which must be passed; of none, everything passes."""

    def __init__(self, *gates: "Gate | All") -> None:
        self.gates = gates

    def passes(self, measured: Mapping[str, Value]) -> bool:
        """Whether an image passes them all, by what was measured of it."""
        return all(gate.passes(measured) for gate in self.gates)

    def __and__(self, other: "Gate | All") -> "All":
        return All(*self.gates, other)
