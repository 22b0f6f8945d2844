"""Programs of torch.export."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.inputs import Preset
from latreg.config import DatasetConfig, ExportClassifierConfig
from latreg.errors import LatregError, reason
from latreg.zoo import weights

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.uint8)  # that images may have


def load_export(config: ExportClassifierConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """A `.pt2` file; its id is the file's sha256. Its input gives channels, size, layout, type and a fixed batch.

    Raises:
        LatregError: the file is not there or cannot be read, takes something else than one batch of images, or holds
            weights that are not finite.
    """
    path = weights.resolve(config.weights, "classifier.weights")
    told: list[BaseException] = []
    try:
        with _listening(told):
            program = _loaded(path)
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
    except Exception as error:  # a dozen types, AssertionError among them
        raise LatregError(
            f"expected a program in {path}, as torch.export.save(torch.export.export(network, ..), ..) writes it, but "
            f"it cannot be read: {reason(told[0] if told else error)}"
        ) from error
    weights.check_finite(program.state_dict, path)
    nodes = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    takes = [node.meta["val"] for node in nodes if isinstance(node.meta.get("val"), torch.Tensor)]
    if len(takes) != 1 or takes[0].ndim != 4 or takes[0].dtype not in DTYPES:
        found = [f"{str(one.dtype).removeprefix('torch.')} {tuple(one.shape)}" for one in takes]
        raise LatregError(
            f"the program in {path} must take one batch of images (N, C, H, W) or (N, H, W, C), float or uint8, it "
            f"takes {', '.join(found) or 'no tensor'}"
        )
    preset, batch = of_shape(tuple(takes[0].shape), takes[0].dtype, f"the input of {path}", config.layout)
    return Model(program.module(), {path.name: weights.sha256(path)}, preset, batch)


@contextmanager
def _listening(told: list[BaseException]) -> Iterator[None]:
    """Keep the errors that torch logs, with their tracebacks, before it raises one that points to them."""

    def keep(record: logging.LogRecord) -> bool:
        told.extend([record.exc_info[1]] if record.exc_info and record.exc_info[1] else [])
        return False

    logger = logging.getLogger("torch.export")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _loaded(path: Path) -> ExportedProgram:
    """Outputs that are objects of transformers can only be read where it was imported."""
    with path.open("rb") as file:  # torch itself takes no name that is not UTF-8
        try:
            return torch.export.load(file)
        except Exception as error:
            if "transformers" not in str(error) or find_spec("transformers") is None:
                raise
        import_module("transformers.modeling_outputs")
        import_module("transformers.utils.generic")
        file.seek(0)
        return torch.export.load(file)


def of_shape(
    shape: tuple[object, ...], dtype: torch.dtype, name: str, layout: str | None = None
) -> tuple[Preset, int | None]:
    """What the shape (N, C, H, W) or (N, H, W, C) of an input tells, and its N if that is fixed.

    Args:
        shape: a side that is no int is free.
        dtype: of the input.
        name: what the input is called in messages.
        layout: as it is set; None = channels are where there are 1 or 3, and if that does not tell, second.
    """
    batch, *sides = (side if isinstance(side, int) else None for side in shape)
    last = sides[2] in (1, 3) and sides[0] not in (1, 3)
    layout = layout or ("nhwc" if last else "nchw")
    channels, height, width = (sides[2], *sides[:2]) if layout == "nhwc" else sides
    origin = {"channels": f"the number of channels that {name} takes"}
    size = height if height == width else None
    return Preset(channels, size, layout=layout, dtype=dtype, origin=origin), batch
