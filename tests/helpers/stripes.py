import torch

from latreg.data.images import ImageSet

CLASSES = ["left", "middle", "right"]


def stripes(n: int, seed: int) -> ImageSet:
    """Images (n, 1, 12, 12): a bright third says the class."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (n,), generator=rng)
    images = torch.randint(0, 100, (n, 1, 12, 12), generator=rng)
    columns = torch.arange(12) // 4
    images += 150 * (columns == labels[:, None])[:, None, None]
    return ImageSet(images.to(torch.uint8), labels)
