"""Products of rows give the layers of torch, and each row or image comes out alike whatever lies beside it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from latreg.classifier.optimized import _replacement
from latreg.compute.products import RowProduct, pixels_times
from tests.helpers.same_bits import assert_same_alone

LAYERS = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(6 * 11 * 9, 10)),
    "linear without bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(6 * 11 * 9, 3, bias=False)),
    "stem": lambda: nn.Conv2d(6, 24, 2),
    "few channels": lambda: nn.Conv2d(6, 16, 3, padding=1),
    "strided": lambda: nn.Conv2d(6, 16, 3, 2, padding=1),
    "oblong": lambda: nn.Conv2d(6, 5, (3, 2), (2, 1), padding=(1, 0)),
    "pointwise": lambda: nn.Conv2d(6, 9, 1, 2, bias=False),
    "halving": lambda: nn.Conv2d(6, 8, 4, 2, padding=1),
    "gelu": nn.GELU,
    "means": lambda: nn.AdaptiveAvgPool2d(1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_they_are_the_layers_of_torch(name):
    torch.manual_seed(0)
    layer = LAYERS[name]().eval().requires_grad_(False)
    fast = nn.Sequential(*map(_replacement, layer)) if isinstance(layer, nn.Sequential) else _replacement(layer)
    images = torch.randn(19, 6, 11, 9)
    torch.testing.assert_close(fast(images), layer(images), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fast(images.contiguous(memory_format=torch.channels_last)), fast(images))
    assert_same_alone(fast, images)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (64, 10), (300, 33)])
def test_rows(inputs, outputs):
    matrix, bias, rows = torch.randn(inputs, outputs), torch.randn(outputs), torch.randn(40, inputs)
    product = RowProduct(matrix, bias)
    torch.testing.assert_close(product(rows), rows @ matrix + bias, atol=1e-4, rtol=1e-5)
    assert_same_alone(product, rows)
    assert torch.equal(product(rows.t().contiguous().t()), product(rows))


def test_activations_of_whole_vectors_are_those_of_one_image():
    activate, images = _replacement(nn.GELU()), torch.randn(13, 16, 2, 2)
    for some in (
        images,
        images.contiguous(memory_format=torch.channels_last),
        torch.randn(2, 2, 16, 13).permute(3, 2, 1, 0),
    ):
        assert_same_alone(activate, some)


def test_threads_change_nothing(monkeypatch):
    product, rows = RowProduct(torch.randn(200, 100)), torch.randn(300, 200)
    one = product(rows)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(product(rows), one)


@pytest.mark.parametrize("pixels", [15, 16])
def test_pixels_times_weights_of_their_own_image(pixels):
    x, weight = torch.randn(19, pixels, 20), torch.randn(19, 3, 20)
    torch.testing.assert_close(
        pixels_times(x, weight), torch.einsum("npi, noi -> nop", x, weight), atol=1e-5, rtol=1e-5
    )
    assert_same_alone(pixels_times, x, weight)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected rows \(N, 4\), got \(2, 5\)"):
        RowProduct(torch.randn(4, 3))(torch.randn(2, 5))


def test_nothing_is_asked_of_none():
    assert F.relu(RowProduct(torch.randn(4, 3))(torch.randn(0, 4))).shape == (0, 3)
