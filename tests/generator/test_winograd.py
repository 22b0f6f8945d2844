"""Winograd's products give the convolution."""

import pytest
import torch
import torch.nn.functional as F

from latreg.generator import winograd
from latreg.generator.winograd import SAME, UPSAMPLING, WinogradConvolution


def same(x, weight):
    return F.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)


def upsampling(x, weight):
    return F.conv_transpose2d(x.permute(0, 3, 1, 2), weight.transpose(0, 1), stride=2).permute(0, 2, 3, 1)


both = pytest.mark.parametrize(("filtering", "direct"), [(SAME, same), (UPSAMPLING, upsampling)])


@both
@pytest.mark.parametrize(("n", "height", "width"), [(1, 4, 4), (3, 8, 12), (40, 16, 16)])  # the last one in parts
def test_it_is_the_convolution(filtering, direct, n, height, width):
    weight = torch.randn(5, 7, 3, 3) / 8
    x = torch.randn(n, height, width, 7)
    torch.testing.assert_close(WinogradConvolution(weight, filtering)(x), direct(x, weight), atol=1e-4, rtol=0)


@both
def test_it_loses_about_two_digits(filtering, direct):
    weight, x = torch.randn(256, 256, 3, 3) / 48, torch.randn(2, 16, 16, 256)
    exact = direct(x.double(), weight.double())
    assert (WinogradConvolution(weight, filtering)(x) - exact).abs().max() < 1e-5 * exact.abs().max()


@both
def test_parts_change_nothing(monkeypatch, filtering, direct):
    weight, x = torch.randn(6, 6, 3, 3), torch.randn(5, 8, 8, 6)
    convolution = WinogradConvolution(weight, filtering)
    whole = convolution(x)
    monkeypatch.setattr(winograd, "PIXELS_AT_ONCE", 64)
    torch.testing.assert_close(convolution(x), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("filtering", "out_channels", "in_channels", "side", "expected"),
    [
        (SAME, 256, 256, 8, True),
        (SAME, 512, 512, 32, True),
        (SAME, 128, 512, 8, False),
        (SAME, 512, 512, 4, False),
        (SAME, 512, 512, 18, False),
        (UPSAMPLING, 512, 512, 16, True),
        (UPSAMPLING, 512, 512, 8, False),
    ],
)
def test_it_is_used_where_it_pays(filtering, out_channels, in_channels, side, expected):
    assert filtering.suits(torch.empty(out_channels, in_channels, 3, 3), side) is expected
