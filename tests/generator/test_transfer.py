"""A checkpoint with the G of a weights file and the D of another training."""

import torch

from latreg.generator import transfer
from latreg.generator.networks import GeneratorNetwork
from latreg.zoo import weights

ARGUMENTS = {"z_dim": 8, "w_dim": 8, "c_dim": 10, "img_resolution": 32, "img_channels": 1, "mapping_layers": 2}
ARGUMENTS |= {"channel_base": 64, "channel_max": 8, "conv_clamp": None}
D = torch.arange(3.0)


def checkpoint(path):
    G = GeneratorNetwork(**ARGUMENTS).state_dict()
    state = {prefix + key: of for prefix in ("G.", "G_ema.") for key, of in G.items()}
    content = {
        "state_dict": {**state, "D.weight": D, "augment.p": torch.tensor(0.4), "pl_mean": torch.tensor(2.0)},
        "hyper_parameters": {"generator": ARGUMENTS},
        "optimizer_states": [{"state": {0: {}}}, {"state": {0: {}}}],
        "n_images": 1024,
    }
    torch.save(content, path)
    return path


def transferred(tmp_path, name):
    arguments = ["--weights", str(name), "-o", str(tmp_path / "begun.ckpt")]
    return transfer.main([str(checkpoint(tmp_path / "last.ckpt")), *arguments])


def test_g_is_that_of_the_weights_and_d_that_of_the_checkpoint(tmp_path):
    shipped, G = tmp_path / "shipped.safetensors", GeneratorNetwork(**ARGUMENTS)
    description = {"kind": "generator", "arguments": ARGUMENTS}
    weights.save(shipped, G.state_dict(), description, {"images_seen": 24}, half=False)
    assert transferred(tmp_path, shipped) == 0
    content = torch.load(tmp_path / "begun.ckpt", weights_only=True)
    state = content["state_dict"]
    for key, of in G.state_dict().items():
        assert state[f"G.{key}"].equal(of)
        assert state[f"G_ema.{key}"].equal(of)
    assert state["D.weight"].equal(D)
    assert (float(state["augment.p"]), float(state["pl_mean"])) == (0, 2)
    assert [bool(of["state"]) for of in content["optimizer_states"]] == [False, True]
    assert content["n_images"] == 24


def test_another_architecture_is_refused(tmp_path, capsys):
    assert transferred(tmp_path, "zoo:mnist_stylegan2_small") == 2
    assert capsys.readouterr().err.startswith("expected the z_dim 8 of ")
    assert not (tmp_path / "begun.ckpt").exists()
