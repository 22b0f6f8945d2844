"""The cell of a study that a search belongs to, and its one name, which tables, figures, pages and W&B show."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from latreg.errors import LatregError

_DATASETS = ("mnist", "fashion_mnist", "cifar10")  # in the order in which they are shown, others behind them
_STRATEGIES = (
    *("sampling", "random", "random_published", "mixing", "mixing_published", "hunt"),
    *("walk", "genetic", "mimicry", "cma_me", "gradient"),
)
_CENTERS = ("global", "class")
_ADAPTIVE = ("salvage", "minimal")
_NAME = re.compile(
    r"(?P<strategy>.+?), (?P<truncation>\w+|no truncation|(?:fixed )?psi (?P<psi>[-+.e\d]+)), (?P<center>\w+) center"
    r"(?: \((?P<variant>.*)\))?"
)


@dataclass(frozen=True)
class Cell:
    """What is compared: the same sources under one strategy and truncation.

    psi is None for adaptive truncation, whose direction is `truncation`. `variant` tells runs apart that differ in
    other settings only; it names these.
    """

    dataset: str
    strategy: str
    truncation: str  # none | fixed | salvage | minimal
    psi: float | None
    center: str
    variant: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The cell of a run, by its configuration as plain containers; without a variant.

        Raises:
            KeyError: it is not that of a search.
        """
        truncation = config["truncation"]
        mode = truncation["mode"]
        psi = {"none": 1.0, "adaptive": None}.get(mode, truncation.get("psi"))
        name = truncation["direction"] if mode == "adaptive" else mode
        return cls(config["dataset"]["name"], config["strategy"]["name"], name, psi, truncation["center"])

    @classmethod
    def parse(cls, dataset: str, name: str) -> Self:
        """The cell of a data set with this name; older results say "none" and "fixed psi 0.7".

        Raises:
            LatregError: it is no name of a cell.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise LatregError(f"expected the name of a cell such as 'mixing, psi 0.7, global center', got {name!r}")
        truncation, psi = found["truncation"], None
        if found["psi"]:
            truncation, psi = "fixed", float(found["psi"])
        elif truncation in ("none", "no truncation"):
            truncation, psi = "none", 1.0
        return cls(dataset, found["strategy"], truncation, psi, found["center"], found["variant"] or "")

    @property
    def name(self) -> str:
        """mixing, psi 0.7, global center. That of the data set is not part of it."""
        return f"{self.strategy}, {self.setting}"

    @property
    def setting(self) -> str:
        """What the name says beside the strategy: psi 0.7, global center."""
        variant = f" ({self.variant})" if self.variant else ""
        return f"{self.truncation_name}, {self.center} center{variant}"

    @property
    def truncation_name(self) -> str:
        """no truncation, psi 0.7, salvage."""
        if self.truncation == "none":
            return "no truncation"
        return self.truncation if self.psi is None else f"psi {self.psi:g}"

    @property
    def series(self) -> str:
        """What is drawn as one line: the strategy, with the variant where there are several."""
        return f"{self.strategy} ({self.variant})" if self.variant else self.strategy

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts cells as they are shown."""
        return (
            *(_place(self.dataset, _DATASETS), _place(self.strategy, _STRATEGIES), _place(self.center, _CENTERS)),
            *(_place(self.truncation, _ADAPTIVE) if self.psi is None else (-1, ""), self.psi or 0.0),
            *(self.truncation, self.variant),
        )


def _place(name: str, known: Sequence[str]) -> tuple[int, str]:
    return (known.index(name) if name in known else len(known), name)
