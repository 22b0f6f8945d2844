"""Time, and the bound that the hardware sets."""

import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

SHAPES = ((64, 16), (128, 8), (128, 16), (512, 16))  # channels and side of the convolutions whose best is the bound
SECONDS = 0.3  # that each is measured for


class Clock:
    """Seconds of the CPU that this process has used; on a GPU those that pass until its work is done."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self) -> float:
        if self.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def rate(self, work: Callable[[], object]) -> float:
        """How often per second the work is done."""
        work()
        started, times = self(), 0
        while (passed := self() - started) < SECONDS:
            work()
            times += 1
        return times / passed


@torch.inference_mode()
def convolution_peak(clock: Clock, chunk: int) -> float:
    """FLOP/s of the fastest plain 3x3 convolution in float32."""
    return max(_convolution_speed(clock, chunk, channels, side) for channels, side in SHAPES)


def _convolution_speed(clock: Clock, chunk: int, channels: int, side: int) -> float:
    layout = torch.channels_last
    x = torch.randn(chunk, channels, side, side, device=clock.device).to(memory_format=layout)
    weight = torch.randn(channels, channels, 3, 3, device=clock.device).to(memory_format=layout)
    return 2 * chunk * weight.numel() * side**2 * clock.rate(lambda: F.conv2d(x, weight, padding=1))


def machine(device: torch.device) -> str:
    """What the numbers were measured on."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    models = [line for line in _cpuinfo() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{model} ({capability}), one thread, torch {torch.__version__}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []
