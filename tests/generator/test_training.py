"""Training on a toy data set: interruption, accounting, and what must hold of losses and averages."""

import math

import pytest
import torch

from latreg.data.images import ImageSet
from latreg.errors import LatregError
from latreg.generator.losses import discriminator_loss, generator_loss, path_lengths, r1_penalty
from latreg.training.datamodule import TrainingBatches
from tests.helpers.toy_training import AUGMENTATION, BATCH, make_module, train


@pytest.mark.parametrize(
    "changes",
    [{}, {"pl_weight": 2.0, "style_mixing_prob": 0.9}, {"augmentation": AUGMENTATION}, {"bfloat16": True}],
)
def test_a_resumed_training_is_bitwise_the_uninterrupted_one(data, tmp_path, changes):
    whole = make_module(96, **changes)
    train(whole, data)

    half = make_module(44, **changes)  # in the middle of a pass, and between two R1 steps
    train(half, data).save_checkpoint(tmp_path / "last.ckpt")
    resumed = make_module(96, **changes)
    train(resumed, data, tmp_path / "last.ckpt", n_images=half.n_images)

    assert whole.n_images == resumed.n_images == 96
    if whole.augment:
        assert whole.augment.p != 0.3
    for (name, wanted), found in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(wanted, found), name


def test_a_resumed_training_takes_the_learning_rate_that_it_is_given(data, tmp_path):
    before = train(make_module(8), data)
    before.save_checkpoint(tmp_path / "last.ckpt")
    trainer = train(make_module(16, learning_rate=1e-4), data, tmp_path / "last.ckpt", n_images=8)
    for old, new in zip(before.optimizers, trainer.optimizers, strict=True):
        assert new.param_groups[0]["lr"] == pytest.approx(
            old.param_groups[0]["lr"] * 1e-4 / make_module(8).learning_rate
        )
        assert len(new.state) == len(old.state) > 0


@pytest.mark.parametrize(("before", "after"), [(None, AUGMENTATION), (AUGMENTATION, None)])
def test_augmentation_can_be_switched_in_mid_training(data, tmp_path, before, after):
    train(make_module(8, augmentation=before), data).save_checkpoint(tmp_path / "last.ckpt")
    resumed = make_module(16, augmentation=after)
    train(resumed, data, tmp_path / "last.ckpt", n_images=8)
    assert resumed.n_images == 16


def test_a_module_without_augmentation_has_the_state_it_always_had(data):
    parts = {name.split(".")[0] for name in make_module(4).state_dict()}
    assert parts == {"G", "D", "G_ema", "pl_mean"}


def test_bfloat16_is_for_feature_maps_alone(data):
    module = make_module(8, bfloat16=True)
    seen = {}
    for name in ("G.synthesis.b8.conv1", "G.mapping", "D.b8.conv0", "D.b4", "D"):
        layer = module.get_submodule(name)
        layer.register_forward_hook(lambda _, __, result, name=name: seen.update({name: seen.get(name, result.dtype)}))
    train(module, data)
    low, full = torch.bfloat16, torch.float32
    assert seen == {"G.synthesis.b8.conv1": low, "G.mapping": full, "D.b8.conv0": low, "D.b4": full, "D": full}
    assert {parameter.dtype for parameter in module.parameters()} == {full}


def test_bfloat16_stays_near_float32(data):
    exact, near = make_module(16), make_module(16, bfloat16=True)
    z, c = torch.randn(4, 8), torch.eye(3)[[0, 1, 2, 0]]
    torch.testing.assert_close(near.G(z, c), exact.G(z, c), atol=0.05, rtol=0.05)
    images = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(near.D(images, c), exact.D(images, c), atol=0.05, rtol=0.05)
    with near.lower_precision.off():
        assert torch.equal(near.D(images, c), exact.D(images, c))
    assert torch.equal(near.averaged_generator()(z, c), exact.averaged_generator()(z, c))


def test_batches_are_a_pure_function_of_the_images_seen(data):
    whole = iter(TrainingBatches(data, BATCH, run_seed=3))
    skipped = [next(whole) for _ in range(17)][-1]
    taken_up = next(iter(TrainingBatches(data, BATCH, run_seed=3, n_images=16 * BATCH)))
    assert all(torch.equal(a, b) for a, b in zip(skipped, taken_up, strict=True))


def test_ranks_share_a_pass_without_overlap(data):
    marked = ImageSet(data.images, torch.arange(40))
    ranks = [iter(TrainingBatches(marked, BATCH, 0, rank=rank, world_size=2)) for rank in range(2)]
    seen = torch.cat([next(rank)[1] for _ in range(5) for rank in ranks])
    assert sorted(seen.tolist()) == list(range(40))


def test_the_average_follows_its_half_life(data):
    module = make_module(4, ema_images=4.0, ema_rampup=None)
    before = module.G_ema.synthesis.b4.const.clone()
    train(module, data)
    after = module.G.synthesis.b4.const
    torch.testing.assert_close(module.G_ema.synthesis.b4.const, (before + after) / 2)


def test_running_means_of_w_go_to_the_classes_of_the_batch(data):
    module = make_module(4)
    mapping = module.G.mapping
    w = torch.ones(2, 8)
    mapping.track_average(w, torch.tensor([1, 1]), beta=0.75)
    assert torch.equal(mapping.w_avg, torch.full((8,), 0.25))
    assert torch.equal(mapping.w_avg_class, torch.tensor([[0.0], [0.25], [0.0]]).expand(3, 8))


def test_a_loss_that_is_not_finite_stops_the_training(data):
    module = make_module(40)
    torch.nn.init.constant_(module.D.b4.out.bias, math.nan)
    with pytest.raises(LatregError, match="the loss became nan after 0 images, in step 1; no checkpoint is there"):
        train(module, data)


def test_a_failed_training_names_the_last_good_checkpoint(data):
    module = make_module(40)
    module.last_checkpoint = "run/last.ckpt"
    torch.nn.init.constant_(module.G.synthesis.b8.torgb.bias, math.inf)
    with pytest.raises(LatregError, match=r"the last good checkpoint is run/last\.ckpt"):
        module.check_finite()


def test_losses_of_an_undecided_discriminator():
    logits = torch.zeros(4, 1)
    assert generator_loss(logits).item() == pytest.approx(math.log(2))
    assert discriminator_loss(logits, logits).item() == pytest.approx(2 * math.log(2))


def test_r1_of_a_linear_discriminator_is_half_its_squared_norm():
    weight = torch.arange(4.0).reshape(1, 1, 2, 2)
    images = torch.randn(3, 1, 2, 2, requires_grad=True)
    logits = (images * weight).sum(dim=(1, 2, 3))
    assert r1_penalty(images, logits).item() == pytest.approx(weight.square().sum().item() / 2)


def test_path_lengths_of_a_scaling_grow_with_it():
    ws = torch.randn(64, 2, 16, requires_grad=True)
    lengths = [path_lengths((scale * ws.sum(1)).reshape(64, 1, 4, 4), ws).mean().item() for scale in (1.0, 3.0)]
    assert lengths[1] / lengths[0] == pytest.approx(3, rel=0.2)


def test_groups_of_the_discriminator_are_of_one_class():
    module = make_module(BATCH)
    labels = torch.tensor([2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1])
    images, sorted_labels = module._by_class(labels.float().view(-1, 1, 1, 1), labels)
    assert (images.flatten() == sorted_labels).all()
    assert (sorted_labels.view(4, 3) == sorted_labels[:3]).all()  # sample i is of group i modulo 3
