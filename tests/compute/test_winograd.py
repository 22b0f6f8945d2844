"""Winograd's products give the convolution."""

import pytest
import torch
import torch.nn.functional as F
from numba.core.caching import CacheImpl

from latreg.compute import kernels, winograd
from latreg.compute.winograd import SameConvolution, UpsamplingConvolution
from latreg.generator.layers import binomial_filter, filter2d

TAPS = binomial_filter().sum(dim=0) * 2


def same(weight):
    return SameConvolution(weight)


def upsampling(weight):
    return UpsamplingConvolution(weight, TAPS)


def same_directly(x, weight):
    return F.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)


def upsampling_directly(x, weight):
    spread = F.conv_transpose2d(x.permute(0, 3, 1, 2), weight.transpose(0, 1), stride=2)
    return filter2d(spread, binomial_filter().to(x.dtype), padding=1, gain=4).permute(0, 2, 3, 1)


both = pytest.mark.parametrize(("make", "directly"), [(same, same_directly), (upsampling, upsampling_directly)])


@both
@pytest.mark.parametrize(("outputs", "inputs"), [(5, 7), (40, 33), (3, 130), (64, 64)])
@pytest.mark.parametrize(("n", "height", "width"), [(1, 4, 4), (3, 8, 12), (19, 16, 16)])  # the last ones in parts
def test_it_is_the_convolution(make, directly, outputs, inputs, n, height, width):
    weight = torch.randn(outputs, inputs, 3, 3) / inputs**0.5
    x, scale = torch.randn(n, height, width, inputs), torch.rand(n, inputs)
    expected = directly(x * scale[:, None, None], weight)
    torch.testing.assert_close(make(weight)(x, scale), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 7), (14, 14), (15, 9)])
def test_sides_need_not_be_whole_tiles(height, width):
    weight, bias, x = torch.randn(6, 5, 3, 3), torch.randn(6), torch.randn(3, height, width, 5)
    torch.testing.assert_close(SameConvolution(weight, bias)(x), same_directly(x, weight) + bias, atol=1e-4, rtol=0)


@both
def test_it_is_as_exact_as_the_direct_one(make, directly):
    weight, x = torch.randn(256, 256, 3, 3) / 48, torch.randn(2, 16, 16, 256)
    exact = directly(x.double(), weight.double())
    error = (make(weight)(x, torch.ones(2, 256)) - exact).abs().max() / exact.abs().max()
    assert error < 3e-6


@both
def test_zeros_around_do_not_depend_on_what_was_there_before(make, directly):
    weight, ones = torch.randn(8, 8, 3, 3), torch.ones(2, 8)
    convolve = make(weight)
    convolve(torch.full((2, 8, 8, 8), torch.inf), ones)
    assert convolve(torch.zeros(2, 8, 8, 8), ones).count_nonzero() == 0


@both
@pytest.mark.parametrize("at_once", [1, 12, 1000])
def test_parts_and_threads_change_nothing(monkeypatch, make, directly, at_once):
    weight, x, scale = torch.randn(6, 6, 3, 3), torch.randn(5, 8, 8, 6), torch.rand(5, 6)
    whole = make(weight)(x, scale)
    monkeypatch.setattr(winograd, "TILES_AT_ONCE", at_once)
    assert torch.equal(make(weight)(x, scale), whole)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(make(weight)(x, scale), whole)
    assert make(weight)(x[:0], scale[:0]).shape[0] == 0


@both
def test_other_layouts_in_memory(make, directly):
    weight = torch.randn(4, 6, 3, 3)
    x, scale = torch.randn(6, 8, 8, 2).permute(3, 1, 2, 0), torch.rand(6, 2).t()
    assert torch.equal(make(weight)(x, scale), make(weight)(x.contiguous(), scale.contiguous()))


@both
@pytest.mark.parametrize(("maps", "scales"), [((2, 8, 8, 5), (2, 5)), ((2, 8, 8, 6), (1, 6)), ((8, 8, 6), (8, 6))])
def test_other_shapes_are_refused(make, directly, maps, scales):
    with pytest.raises(ValueError, match=r"expected maps \(N, H, W, 6\) and scales \(N, 6\), got"):
        make(torch.randn(4, 6, 3, 3))(torch.zeros(maps), torch.zeros(scales))


def test_upsampling_takes_whole_tiles():
    with pytest.raises(ValueError, match="multiples of 4, got 8 x 6"):
        upsampling(torch.randn(4, 6, 3, 3))(torch.zeros(1, 8, 6, 6), torch.zeros(1, 6))


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch):
    def set_to_one(values):
        values[0] = 1

    values = torch.zeros(1).numpy()
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    kernels._kept(set_to_one)(values)
    assert values[0] == 1
