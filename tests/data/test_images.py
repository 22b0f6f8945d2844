"""Sets of images."""

import torch

from latreg.data.images import ImageSet


def numbered(n):
    return ImageSet(torch.zeros(n, 1, 2, 2, dtype=torch.uint8), torch.arange(n))


def test_spread_images_lie_at_equal_distances():
    assert numbered(10).spread(5).labels.tolist() == [0, 2, 4, 6, 8]
    assert numbered(10).spread(4).labels.tolist() == [0, 2, 5, 7]


def test_spread_gives_no_more_than_there_are():
    assert numbered(3).spread(7).labels.tolist() == [0, 1, 2]
    assert len(numbered(3).spread(0)) == 0
