"""bfloat16 where it is harmless: in the feature maps, as the published code has it for float16.

Parameters, latents, styles, the images of G, the last block of D with its logits, R1 and all averages stay float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from latreg.errors import LatregError
from latreg.generator.networks import Discriminator, SynthesisNetwork

PRECISIONS = ("32-true", "bf16-mixed")


class LowerPrecision:
    """Casts what enters the blocks of synthesis network and discriminator to bfloat16; they compute as they are fed.

    The first block of G has no input: 4x4 stays float32. So does a discriminator on features, whose network is slower
    in bfloat16 on CPUs. Copies of the networks are to be made before.
    """

    def __init__(self, synthesis: SynthesisNetwork, discriminator: nn.Module) -> None:
        self._on = True
        blocks = [synthesis.get_submodule(f"b{resolution}") for resolution in synthesis.resolutions]
        if isinstance(discriminator, Discriminator):
            blocks.append(discriminator.fromrgb)
        for block in blocks:
            block.register_forward_pre_hook(self._cast)

    def _cast(self, block: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x = args[0]
        return (x.bfloat16(), *args[1:]) if self._on and x is not None else args

    @contextmanager
    def off(self) -> Iterator[None]:
        """float32 throughout, for second derivatives."""
        self._on = False
        try:
            yield
        finally:
            self._on = True


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse what generators cannot be trained in.

    Raises:
        LatregError: the precision is none of PRECISIONS, or not there on the device.
    """
    if precision not in PRECISIONS:
        raise LatregError(f"trainer.precision of a generator must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "bf16-mixed" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise LatregError(f"trainer.precision must be 32-true on {torch.cuda.get_device_name(device)}, got {precision}")
