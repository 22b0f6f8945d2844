import pytest
import torch

from latreg.data.images import ImageSet


@pytest.fixture
def data():
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 8, 8), generator=rng, dtype=torch.uint8)
    return ImageSet(images, torch.arange(40) % 3)
