import pytest
import torch

from latreg.classifier.networks import NETWORKS, WhiteningConv2d, build
from latreg.errors import LatregError


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize(("channels", "num_classes"), [(1, 10), (3, 7)])
def test_images_to_logits(name: str, channels: int, num_classes: int) -> None:
    logits = build(name, channels, num_classes, {})(torch.rand(2, channels, 32, 32))
    assert logits.shape == (2, num_classes)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_features_are_what_the_last_layer_sees(name: str) -> None:
    network = build(name, 1, 10, {}).eval()
    images = torch.rand(2, 1, 32, 32)
    assert torch.equal(network.body[-1](network.features(images)), network(images))


def test_resnet18_for_cifar() -> None:
    args = {"widths": [64, 128, 256, 512], "blocks": 2, "first_stride": 1}
    network = build("resnet", 3, 10, args)
    assert sum(p.numel() for p in network.parameters()) == 11_173_962  # the known size of ResNet-18 for 32x32 images


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_normalizes_inside(name: str) -> None:
    network = build(name, 3, 10, {}).eval()
    images = torch.rand(2, 3, 32, 32)
    expected = network.body(images)
    network.mean.copy_(torch.tensor([0.1, 0.2, 0.3]))
    network.std.copy_(torch.tensor([2.0, 3.0, 4.0]))
    scaled = images * network.std[:, None, None] + network.mean[:, None, None]
    torch.testing.assert_close(network(scaled), expected, rtol=1e-4, atol=1e-4)


def test_unknown_network_is_named() -> None:
    known = "airbench, densenet, mobilenet, resnet, vgg, whitened_resnet"
    with pytest.raises(LatregError, match=f"must be one of {known}, got 'alexnet'"):
        build("alexnet", 1, 10, {})


def test_unknown_argument_is_named() -> None:
    with pytest.raises(LatregError, match=r"do not fit the network vgg.*depth"):
        build("vgg", 1, 10, {"depth": 3})


def test_a_whitening_stem_makes_patches_white_and_stays() -> None:
    torch.manual_seed(0)
    network = build("airbench", 3, 10, {"widths": [8, 16]})
    noise = torch.randn(50, 3, 16, 16)
    images = noise + noise.roll(1, dims=3)  # neighbours resemble each other
    network.mean.copy_(images.mean(dim=(0, 2, 3)))
    network.whiten(images)
    stem = network.body[0]
    assert isinstance(stem, WhiteningConv2d)
    stem.bias.data.zero_()
    out = stem(network._normalized(images)).detach().permute(1, 0, 2, 3).flatten(1)
    assert torch.allclose(out[:12], -out[12:], atol=1e-5)
    assert torch.allclose(out[:12] @ out[:12].T / out.shape[1], torch.eye(12), atol=0.1)
    assert not stem.weight.requires_grad


def test_networks_without_such_a_stem_are_left_alone() -> None:
    network = build("resnet", 1, 3, {"widths": [4]})
    before = [p.clone() for p in network.parameters()]
    network.whiten(torch.rand(2, 1, 8, 8))
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_convolutions_begin_as_identities() -> None:
    network = build("airbench", 1, 3, {"widths": [8, 16]})
    x = torch.rand(2, 8, 6, 6)
    assert torch.equal(network.body[2](x), x)
    assert torch.equal(network.body[6](x), x)
    assert torch.equal(network.body[9](x)[:, :8], x)


def test_feature_maps_are_the_deepest_of_each_resolution() -> None:
    network = build("resnet", 1, 3, {"widths": [4, 8], "first_stride": 1}).eval()
    maps = network.feature_maps(torch.rand(2, 1, 16, 16))
    assert [tuple(m.shape) for m in maps] == [(2, 4, 16, 16), (2, 8, 8, 8)]
