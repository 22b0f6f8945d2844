"""ONNX files, through onnxruntime."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.exported import of_shape
from latreg.classifier.adapters.importing import extra, in_utf8
from latreg.config import DatasetConfig, OnnxClassifierConfig
from latreg.errors import LatregError, reason
from latreg.zoo import weights

DTYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(uint8)": torch.uint8,
}
INSTALL = "pip install 'latreg[onnx]'"


def load_onnx(config: OnnxClassifierConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """An ONNX file. Its id is made of its sha256, and those of the files that it keeps tensors in.

    Its input gives channels, size, layout, type and a fixed batch.

    Raises:
        LatregError: a package is missing, the file cannot be read, or it takes something else than a batch of images.
    """
    path = in_utf8(weights.resolve(config.weights, "classifier.weights"), "onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what fails is raised, too
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in onnxruntime.get_available_providers()]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers, enable_fallback=len(providers) > 1)
        files = {one.name: weights.sha256(one) for one in (path, *_external_files(path))}
    except LatregError:
        raise
    except Exception as error:  # onnxruntime's own types derive from Exception alone
        raise LatregError(f"expected an ONNX file in {path}, but it cannot be read: {reason(error)}") from error
    takes, others = _inputs(session, config.input, path)
    outputs = [output.name for output in session.get_outputs()]

    def answer(images: Tensor) -> dict[str, Any]:
        found = session.run(outputs, {takes.name: images.cpu().numpy(), **others})
        return dict(zip(outputs, found, strict=True))

    preset, batch = of_shape(tuple(takes.shape), DTYPES[takes.type], f"the input {takes.name} of {path}", config.layout)
    return Model(answer, files, preset, batch)


def _inputs(session: Any, chosen: str | None, path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """The input for images, and values for the others: a switch, as between training and use, is off."""
    inputs = session.get_inputs()
    able = [one for one in inputs if len(one.shape) == 4 and one.type in DTYPES]
    takes = [one for one in able if chosen in (None, one.name)]
    others = [one for one in inputs if takes and one is not takes[0]]
    switches = all(one.type == "tensor(bool)" and all(side == 1 for side in one.shape) for one in others)
    if len(takes) == 1 and switches:
        return takes[0], {one.name: np.zeros([1] * len(one.shape), bool) for one in others}
    listed = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
    if chosen is not None and chosen not in [one.name for one in able]:
        raise LatregError(f"classifier.input must name an input of {path} that takes images, got {chosen}: {listed}")
    if len(takes) > 1:
        raise LatregError(
            f"the network in {path} has several inputs that could take images, of which classifier.input=NAME chooses "
            f"one: {listed}"
        )
    raise LatregError(
        f"the network in {path} must take one batch of images (N, C, H, W) or (N, H, W, C), float or uint8, and "
        f"nothing else but switches, it takes {listed}"
    )


def _external_files(path: Path) -> list[Path]:
    """The files beside an ONNX file that its tensors lie in, under whatever name."""
    with path.open("rb") as file:
        if file.read(8)[4:] == b"ORTM":  # onnxruntime's own format, whole in one file
            return []
    onnx = extra("onnx", "classifier=onnx", INSTALL)
    model = onnx.load(path, load_external_data=False)
    names = {entry.value for tensor in _tensors(model, onnx.TensorProto) for entry in _location(tensor)}
    return [path.parent / name for name in sorted(names)]


def _location(tensor: Any) -> list[Any]:
    return [entry for entry in tensor.external_data if entry.key == "location"]


def _tensors(message: Any, kind: type) -> Iterator[Any]:
    """All tensors in a message, also those of nodes, of graphs in nodes and of functions."""
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        for part in [value] if hasattr(value, "ListFields") else value:
            if isinstance(part, kind):
                yield part
            else:
                yield from _tensors(part, kind)
