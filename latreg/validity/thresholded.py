"""What the models of real images share: a number for each image, and the threshold above which it is too large."""

from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from latreg.errors import LatregError
from latreg.zoo import weights

Network = TypeVar("Network", bound=nn.Module)


class Thresholded(Generic[Network]):
    """A trained network whose numbers are compared with those of held-out real images.

    Attributes:
        network: on the device, in eval mode.
        threshold: the `quantile` of the numbers of held-out real images.
        id: sha256 of the weights file.
        card: its model card, {} if there is none.
        batch: images per forward pass.
    """

    def __init__(
        self,
        network: Network,
        held_out: Tensor,
        *,
        quantile: float,
        id: str = "",
        device: str | torch.device = "cpu",
        card: dict[str, Any] | None = None,
        batch: int = 16,
    ) -> None:
        """Set up the model.

        Args:
            network: trained.
            held_out: the numbers of real images that it was not trained on (M,).
            quantile: in (0, 1); 1 - quantile is the rate of false alarms that is expected on real images.
            id: sha256 of the weights file.
            device: where it runs.
            card: its model card.
            batch: images per forward pass.

        Raises:
            LatregError: the quantile is out of its range.
        """
        if not 0 < quantile < 1:
            raise LatregError(f"validity.quantile must lie between 0 and 1, got {quantile}")
        self.network = network.to(device).eval().requires_grad_(False)
        self.threshold = float(torch.quantile(held_out.double(), quantile))
        self.id = id
        self.device = torch.device(device)
        self.card = card or {}
        self.batch = batch

    @classmethod
    def of_file(
        cls, path: Path, network: Network, held_out: Tensor, *, quantile: float, device: str | torch.device, batch: int
    ) -> Self:
        """What a weights file holds, with its id and card."""
        id, card = weights.sha256(path), weights.read_card(path)
        return cls(network, held_out, quantile=quantile, id=id, device=device, card=card, batch=batch)
