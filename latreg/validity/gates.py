"""All gates of a run, applied to the 8-bit images that are saved."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latreg.compute.batches import placed
from latreg.config import ValidityConfig
from latreg.data.images import to_unit
from latreg.errors import LatregError
from latreg.import_paths import named_by
from latreg.interfaces import Appraisal, BoundaryRecord, Columns, Value, Verdict, flags_of
from latreg.validity.density import ClassDensity
from latreg.validity.gate import All, Gate, Pairs
from latreg.validity.held_out import HeldOut
from latreg.validity.in_distribution import InDistribution
from latreg.validity.judge import Judge, divided
from latreg.validity.label_kept import LabelKept
from latreg.validity.perceptual import Lpips, PerceptualDistance
from latreg.validity.screened import Screened
from latreg.validity.typical import Typical
from latreg.validity.vae import ValidityModel

Settings = Mapping[str, Any]
MODELS = ("judge", "vae", "density", "lpips", "held_out")  # that a gate may need


class Gates:
    """Measures candidate images by all gates, and says which of them pass those that `validity.gates` names.

    A verdict's `valid` speaks of the gates alone: a valid fault is a *wrong answer of the SUT* on an image that passes
    them. With no gates configured every image is valid, as in work that counts misclassification alone.

    Attributes:
        columns: of a record, those of all gates: first the numbers, then the flags.
    """

    def __init__(
        self,
        config: ValidityConfig,
        judge: Judge | None = None,
        vae: ValidityModel | None = None,
        density: ClassDensity | None = None,
        lpips: PerceptualDistance | None = None,
        held_out: Judge | None = None,
    ) -> None:
        """Set up the gates.

        Args:
            config: names and thresholds of the gates.
            judge: the ensemble, None = there is none.
            vae: the model of the training images, None = there is none.
            density: those of each class, None = there is none.
            lpips: a distance that is measured and no gate; None = not measured.
            held_out: a judge that is asked and no gate; None = not asked.

        Raises:
            LatregError: an unknown gate, a gate whose model is not there, or a setting that cannot be met.
        """
        configured = configured_gates(config)
        self.columns = _all_columns(configured)
        known = [name for kind in configured if kind.decides for name in flags_of(kind.columns)]
        if unknown := [name for name in config.gates if name not in known]:
            raise LatregError(f"validity.gates must be of {', '.join(known)}, got {', '.join(unknown)}")
        models = dict(zip(MODELS, (judge, vae, density, lpips, held_out), strict=True))
        self._gates: dict[str, Gate] = {}
        for kind, settings in configured.items():
            model = {} if kind.needs is None else {kind.needs: models[kind.needs]}
            if None not in model.values():
                make: Callable[..., Gate] = kind
                self._gates[kind.name] = make(**settings, **model)
            elif kind.name in config.gates:
                raise LatregError(
                    f"the gate {kind.name} needs validity.{kind.needs}, but there is none; take it out of "
                    f"validity.gates, which is [{', '.join(config.gates)}]"
                )
        self._deciding = [self._gates[name] for name in config.gates]
        self._required = All(*self._deciding)

    def appraise(self, pairs: Sequence[Appraisal]) -> list[Verdict]:
        """The verdict on each candidate, against its source. It depends on that pair's images and label only."""
        verdicts: dict[int, Verdict] = {}
        for recorded, judged in ((True, self._measured), (False, self._decided)):
            if places := [place for place, pair in enumerate(pairs) if pair.recorded == recorded]:
                with placed(places):
                    verdicts |= zip(places, judged(_tensors([pairs[place] for place in places])), strict=True)
        return [verdicts[place] for place in range(len(pairs))]

    def _measured(self, pairs: Pairs) -> list[Verdict]:
        """With the columns of all gates."""
        columns: dict[str, list[Value]] = {name: [None] * len(pairs.labels) for name in self.columns}
        for gate in self._gates.values():
            columns |= {name: values.tolist() for name, values in _measure(gate, pairs).items()}
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        return [Verdict(self._required.passes(row), row) for row in rows]

    def _decided(self, pairs: Pairs) -> list[Verdict]:
        """Without columns: a required gate is asked about what has passed those before it."""
        left: Sequence[int] = range(len(pairs.labels))
        for gate in self._deciding:
            if left:
                with placed(left):
                    passed = gate.passed(pairs.of(left))
                left = [place for place, passes in zip(left, passed, strict=True) if passes]
        return [Verdict(place in left, {}) for place in range(len(pairs.labels))]


def configured_gates(config: ValidityConfig) -> dict[type[Gate], Settings]:
    """The gates that there are with the settings of each, in the order of their columns.

    Raises:
        LatregError: one of `validity.more_gates` is no gate, or not one that takes its settings.
    """
    shipped: dict[type[Gate], Settings] = {
        Screened: {"min_ssim": config.min_ssim, "max_l2_rel": config.max_l2_rel},
        Lpips: {},
        InDistribution: {},
        Typical: {},
        LabelKept: {"min_confidence": config.min_judge_confidence},
    }
    if divided(config.judge, config.held_out)[1]:
        shipped[HeldOut] = {}
    return shipped | dict(_find(name, settings) for name, settings in config.more_gates.items())


def _find(name: str, settings: Settings) -> tuple[type[Gate], Settings]:
    """The class that `_target_` names, and the other settings, which are its arguments."""
    target = settings.get("_target_")
    arguments = {key: value for key, value in settings.items() if key != "_target_"}
    try:
        kind = named_by(str(target))
        model = [kind.needs] if issubclass(kind, Gate) and kind.needs else []
        inspect.signature(kind).bind(**arguments, **dict.fromkeys(model))
    except Exception as error:  # of whatever the module raises where it is imported
        raise LatregError(
            f"validity.more_gates.{name}._target_ must be the import path of a gate that takes "
            f"{', '.join(arguments) or 'no settings'}, got {target}: {error}"
        ) from error
    if not issubclass(kind, Gate) or kind.name != name or kind.needs not in (None, *MODELS):
        raise LatregError(
            f"validity.more_gates.{name} must be a latreg.validity.gate.Gate with the name {name} and a model of "
            f"{', '.join(MODELS)} that it needs, or None, got {target}"
        )
    return kind, arguments


def _all_columns(kinds: Iterable[type[Gate]]) -> Columns:
    """The columns of all gates, first the numbers and then the flags.

    Raises:
        LatregError: a column has no type that records know, is there twice, or is a flag under another name.
    """
    columns: dict[str, type[bool | int | float]] = {}
    taken = {field.name for field in fields(BoundaryRecord)}
    for kind in kinds:
        for name, of in kind.columns.items():
            if name in taken or of not in (bool, int, float) or (of is bool and name != kind.name):
                raise LatregError(
                    f"the gate {kind.name} must have numbers (int, float) and a bool of its own name as columns that "
                    f"records have not got yet, got {name}: {of}"
                )
            taken.add(name)
            columns[name] = of
    return dict(sorted(columns.items(), key=lambda column: column[1] is bool))


def _measure(gate: Gate, pairs: Pairs) -> Mapping[str, Tensor]:
    """Its columns.

    Raises:
        LatregError: they are not those that it has, or of another type or length.
    """
    measured = gate.measure(pairs)
    wanted = {name: (kind, (len(pairs.labels),)) for name, kind in gate.columns.items()}
    found = {name: (_kind(values), tuple(values.shape)) for name, values in measured.items()}
    if found != wanted:
        raise LatregError(f"the gate {gate.name} must measure types and shapes {wanted}, got {found}")
    return measured


def _kind(values: Tensor) -> type[bool | int | float]:
    if values.dtype == torch.bool:
        return bool
    return float if values.is_floating_point() else int


def _tensors(pairs: Sequence[Appraisal]) -> Pairs:
    return Pairs(
        _images([pair.source.image for pair in pairs]),
        _images([pair.candidate.image for pair in pairs]),
        torch.tensor([pair.source.label for pair in pairs]),
    )


def _images(images: Sequence[np.ndarray]) -> Tensor:
    """uint8 images (C, H, W) => one float batch in [0, 1]."""
    return to_unit(torch.from_numpy(np.stack(images)))
