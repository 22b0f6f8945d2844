"""What a figure says at its points, bars and cells, for those who point at them or go through them by keys."""

from typing import Any, NamedTuple, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure


class Mark(NamedTuple):
    """A place in a picture, in percent of its width from the left and of its height from the top, and what is there."""

    left: float
    top: float
    text: str


class Chart(Figure):
    """A figure that remembers what its marks say."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.said: list[tuple[Axes, float, float, str]] = []

    def marks(self) -> list[Mark]:
        """In the order in which they were drawn; known once the figure was rendered."""
        found: list[Mark] = []
        for axes, x, y, text in self.said:
            right, up = self.transFigure.inverted().transform(axes.transData.transform((x, y))).tolist()
            found.append(Mark(round(100 * right, 1), round(100 * (1 - up), 1), text))
        return found


def say(axes: Axes, x: float, y: float, text: str) -> None:
    """Note what the mark at a point of a chart's axes says."""
    cast(Chart, axes.figure).said.append((axes, x, y, text))
