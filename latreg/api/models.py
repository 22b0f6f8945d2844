"""What a caller may hand over as a classifier, and the settings that it stands for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from torch import nn

from latreg.classifier.adapters.live import is_importable, name_of
from latreg.config import conf_dir
from latreg.errors import LatregError

Classifier = nn.Module | Callable[..., Any] | str | Path

DATASET = "mnist"  # where nothing names one
KINDS = {".pt2": "export", ".onnx": "onnx"}  # of files that say themselves what they are


class Inputs(TypedDict, total=False):
    """How to speak to a classifier: the settings `classifier.*` of latreg.config.OwnClassifierConfig."""

    outputs: str  # logits | probabilities | scores
    output: str  # name or position of the output, where there are several
    channels: int  # 1 | 3
    channel_order: str  # rgb | bgr
    layout: str  # nchw | nhwc
    size: int  # side of its square input in pixels
    fit: str  # crop | resize, where size is smaller than the data set's
    white: float  # value of a white pixel before mean and std
    mean: Sequence[float]
    std: Sequence[float]
    class_order: Sequence[int | str]  # class that each output stands for
    batch_size: int  # images per call at most
    min_accuracy: float  # on test images
    version: str  # of a function: part of its id


@dataclass(frozen=True)
class Choice:
    """The part of a configuration that a classifier stands for.

    Attributes:
        overrides: as on the command line.
        settings: dotted keys and their values.
        live: the object itself where no other process could load it, else None.
    """

    overrides: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    live: Any = None


def choose(model: Classifier | None, inputs: Inputs) -> Choice:
    """What a classifier stands for; None and the name of a data set = the data set's own.

    Raises:
        LatregError: it is of no kind that can be searched.
    """
    own = {f"classifier.{name}": list(v) if isinstance(v, tuple) else v for name, v in inputs.items()}
    if model is None or (isinstance(model, str) and dataset_named(model)):
        return Choice(settings=own)
    if isinstance(model, str | Path):
        kind = KINDS.get(Path(model).suffix)
        return Choice((f"classifier={kind}",) if kind else (), {"classifier.weights": str(model), **own})
    if isinstance(model, type) or not callable(model):
        raise LatregError(
            "a classifier must be a torch.nn.Module, a function, zoo:<name> or the path of a weights file, got "
            + (f"the class {name_of(model)}, not an object of it" if isinstance(model, type) else name_of(model))
        )
    name = name_of(model)
    called = {"classifier.name": name.rpartition(".")[2]}
    if isinstance(model, nn.Module):
        return Choice(("classifier=live_module_schema",), {**called, "classifier.network": name, **own}, model)
    if is_importable(model):
        return Choice(("classifier=callable",), {**called, "classifier.function": name, **own})
    return Choice(("classifier=live_function_schema",), {**called, "classifier.function": name, **own}, model)


def dataset_named(name: str) -> str | None:
    """mnist, zoo:mnist => mnist; None where it names no data set."""
    plain = name.removeprefix("zoo:")
    return plain if plain in _datasets() else None


def dataset_of(model: Any) -> str:
    """The data set that goes with a classifier: zoo:<data set>_.. names it."""
    plain = str(model).removeprefix("zoo:") if isinstance(model, str) else ""
    fitting = [name for name in _datasets() if plain == name or plain.startswith(f"{name}_")]
    return max(fitting, key=len, default=DATASET)


def _datasets() -> list[str]:
    return [path.stem for path in (Path(conf_dir()) / "dataset").glob("*.yaml")]
