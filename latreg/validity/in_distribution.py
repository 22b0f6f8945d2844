"""The gate in_distribution: an autoencoder of the training images reconstructs the image as well as real ones."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from latreg.interfaces import Columns
from latreg.validity.gate import Gate, Pairs
from latreg.validity.vae import ValidityModel


class InDistribution(Gate):
    """Its error of reconstruction is not above the threshold."""

    name = "in_distribution"
    columns: ClassVar[Columns] = {
        "vae_error": float,  # mean squared error per pixel
        "in_distribution": bool,
    }
    needs = "vae"

    def __init__(self, vae: ValidityModel) -> None:
        self.vae = vae

    def measure(self, pairs: Pairs) -> Mapping[str, Tensor]:
        errors = self.vae.errors(pairs.candidates).double()
        return {"vae_error": errors, "in_distribution": errors <= self.vae.threshold}
