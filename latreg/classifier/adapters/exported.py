"""Programs of torch.export."""

import torch
from torch.export.passes import move_to_device_pass

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.inputs import Preset
from latreg.config import ExportClassifierConfig
from latreg.errors import LatregError
from latreg.zoo import weights


def load_export(config: ExportClassifierConfig, device: torch.device) -> Model:
    """A `.pt2` file; its id is the file's sha256. The shape of its input gives channels, size and a fixed batch.

    Raises:
        LatregError: the file is not there or cannot be read, or takes something else than one batch of images.
    """
    path = weights.resolve(config.weights, "classifier.weights")
    try:
        program = torch.export.load(path)
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
    except Exception as error:  # a dozen types, AssertionError among them
        raise LatregError(
            f"expected a program in {path}, as torch.export.save(torch.export.export(network, ..), ..) writes it, but "
            f"it cannot be read: {type(error).__name__}: {error}"
        ) from error
    nodes = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    shapes = [tuple(node.meta["val"].shape) for node in nodes if isinstance(node.meta.get("val"), torch.Tensor)]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise LatregError(f"the program in {path} must take one batch of images (N, C, H, W), it takes {shapes}")
    preset, batch = of_shape(shapes[0])
    return Model(program.module(), weights.sha256(path), preset, batch)


def of_shape(shape: tuple[object, ...]) -> tuple[Preset, int | None]:
    """What the shape (N, C, H, W) of an input tells, and its N if that is fixed. What is no int is free."""
    batch, channels, height, width = (side if isinstance(side, int) else None for side in shape)
    return Preset(channels=channels, size=height if height == width else None), batch
