"""The device that networks run on."""

import torch

from latreg.errors import LatregError

CHUNK = {"cpu": 16, "cuda": 512}  # images per forward pass: on a CPU every larger temporary is a page fault


def make_device(name: str) -> torch.device:
    """`auto` is the first GPU where there is one, else the CPU.

    Convolutions in float32 are float32 from then on. On recent GPUs they would else be in TF32, whose 10 bits of
    mantissa make other images, and some faults none, on the machine that verifies them.
    """
    torch.backends.cudnn.allow_tf32 = False
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise LatregError(f"device must be auto, cpu, cuda or cuda:<n>, got {name!r}") from error
    if device.type not in CHUNK:
        raise LatregError(f"device must be auto, cpu, cuda or cuda:<n>, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise LatregError(f"device {name!r} does not exist: this machine has {torch.cuda.device_count()} CUDA devices")
    return device
