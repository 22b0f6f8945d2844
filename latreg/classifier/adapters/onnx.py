"""ONNX files, through onnxruntime."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.exported import of_shape
from latreg.classifier.adapters.importing import extra
from latreg.config import OnnxClassifierConfig
from latreg.errors import LatregError
from latreg.zoo import weights

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def load_onnx(config: OnnxClassifierConfig, device: torch.device) -> Model:
    """An ONNX file. Its id is the sha256 of the file, and of its .data beside it where the weights lie there.

    The shape of its input gives channels, size and a fixed batch; where it has several outputs, the first is taken.

    Raises:
        LatregError: onnxruntime is missing, the file cannot be read, or it takes something else than a batch of images.
    """
    path = weights.resolve(config.weights, "classifier.weights")
    runtime = extra("onnxruntime", "classifier=onnx", "pip install 'latreg[onnx]'")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in runtime.get_available_providers()]
    try:
        session = runtime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # onnxruntime's own types derive from Exception alone
        raise LatregError(f"expected an ONNX file in {path}, but it cannot be read: {error}") from error
    takes = session.get_inputs()
    if len(takes) != 1 or len(takes[0].shape) != 4 or takes[0].type not in TYPES:
        raise LatregError(
            f"the network in {path} must take one batch of float images (N, C, H, W), "
            f"it takes {[(one.name, one.type, one.shape) for one in takes]}"
        )
    name, dtype, output = takes[0].name, TYPES[takes[0].type], session.get_outputs()[0].name

    def answer(images: Tensor) -> Tensor:
        (answers,) = session.run([output], {name: images.cpu().numpy().astype(dtype)})
        return torch.from_numpy(np.asarray(answers, dtype=np.float32)).to(device)

    preset, batch = of_shape(tuple(takes[0].shape))
    return Model(answer, weights.sha256(path, *_weights_beside(path)), preset, batch)


def _weights_beside(path: Path) -> list[Path]:
    data = path.with_name(f"{path.name}.data")
    return [data] if data.is_file() else []
