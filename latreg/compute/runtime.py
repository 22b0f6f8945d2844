"""Networks on a CPU as graphs of onnxruntime, which answers small ones in half of torch's time.

It convolves each image on its own and sums each row of a product in one order, so an image is answered alike, to the
bit, whatever is asked beside it.
"""

import io
import warnings

import onnxruntime
import torch
from torch import Tensor, nn

ERRORS_ONLY = 3  # of what onnxruntime logs
INPUT = "images"


class Graph(nn.Module):
    """A network in eval mode whose weights must not change any more.

    Args:
        network: float images (N, C, H, W) => a tensor (N, ..) or a list of them. What it does must not depend on what
            is on them.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = [network]  # in a list, as its weights are no part of this module
        self._sessions: dict[torch.Size, onnxruntime.InferenceSession] = {}

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        size = images.shape[1:]
        if size not in self._sessions:
            self._sessions[size] = _session(self._network[0], images.new_zeros(2, *size))
        answers = self._sessions[size].run(None, {INPUT: images.float().contiguous().numpy()})
        tensors = [torch.from_numpy(answer) for answer in answers]
        return tensors if len(tensors) > 1 else tensors[0]


def _session(network: nn.Module, images: Tensor) -> onnxruntime.InferenceSession:
    """For any number of images of one size, with as many threads as torch has."""
    graph = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # the exporter to come takes seconds for each network
        torch.onnx.export(
            network,
            (images,),
            graph,  # type: ignore[arg-type]  # this exporter takes it
            input_names=[INPUT],
            dynamic_axes={INPUT: {0: "n"}},
            dynamo=False,
            verbose=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would cost others their cores
    options.log_severity_level = ERRORS_ONLY
    return onnxruntime.InferenceSession(graph.getvalue(), options, providers=["CPUExecutionProvider"])
