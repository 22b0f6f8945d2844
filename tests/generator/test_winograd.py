"""Winograd's products give the convolution."""

import pytest
import torch
import torch.nn.functional as F

from latreg.generator import winograd
from latreg.generator.winograd import WinogradConvolution, suits


@pytest.mark.parametrize(("n", "height", "width"), [(1, 4, 4), (3, 8, 12), (40, 16, 16)])  # the last one in parts
def test_it_is_the_convolution(n, height, width):
    weight = torch.randn(5, 7, 3, 3) / 8
    x = torch.randn(n, height, width, 7)
    expected = F.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)
    torch.testing.assert_close(WinogradConvolution(weight)(x), expected, atol=1e-4, rtol=0)


def test_parts_change_nothing(monkeypatch):
    weight, x = torch.randn(6, 6, 3, 3), torch.randn(5, 8, 8, 6)
    whole = WinogradConvolution(weight)(x)
    monkeypatch.setattr(winograd, "TILES_AT_ONCE", 4)
    torch.testing.assert_close(WinogradConvolution(weight)(x), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("out_channels", "in_channels", "side", "expected"),
    [(256, 256, 8, True), (512, 512, 32, True), (128, 512, 8, False), (512, 512, 4, False), (512, 512, 6, False)],
)
def test_it_is_used_where_it_pays(out_channels, in_channels, side, expected):
    assert suits(torch.empty(out_channels, in_channels, 3, 3), side) is expected
