import pytest
import torch

from latreg.classifier.networks import NETWORKS, build
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
    with pytest.raises(LatregError, match="must be one of airbench, densenet, mobilenet, resnet, vgg, got 'alexnet'"):
        build("alexnet", 1, 10, {})


def test_unknown_argument_is_named() -> None:
    with pytest.raises(LatregError, match=r"do not fit the network vgg.*depth"):
        build("vgg", 1, 10, {"depth": 3})
