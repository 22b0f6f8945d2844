"""What a training leaves behind is whole, also where the disk is full."""

import errno
import os
from types import SimpleNamespace

import pytest
import torch

from latreg.errors import LatregError
from latreg.generator.networks import GeneratorNetwork
from latreg.generator.snapshots import save_checkpoint, save_generator, whole_or_not
from latreg.zoo import weights


def full_disk(path, *_, **__):
    """Writes half a file, and fails."""
    with open(path, "wb") as file:
        file.write(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def trainer(save):
    return SimpleNamespace(save_checkpoint=save, is_global_zero=True)


def test_a_checkpoint_replaces_the_previous_one(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"previous")
    save_checkpoint(trainer(lambda p, **_: p.write_bytes(b"next")), path)
    assert path.read_bytes() == b"next"
    assert os.listdir(tmp_path) == ["last.ckpt"]


def test_on_a_full_disk_the_previous_checkpoint_survives(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"previous")
    with pytest.raises(LatregError, match="No space left on device; the previous one is kept") as caught:
        save_checkpoint(trainer(full_disk), path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"previous"
    assert os.listdir(tmp_path) == ["last.ckpt"]


def test_on_a_full_disk_the_first_checkpoint_leaves_nothing(tmp_path):
    with pytest.raises(LatregError, match="there is no previous one"):
        save_checkpoint(trainer(full_disk), tmp_path / "last.ckpt")
    assert not os.listdir(tmp_path)


def test_on_a_full_disk_the_previous_weights_survive(tmp_path, monkeypatch):
    path = tmp_path / "g.safetensors"
    network = GeneratorNetwork(4, 4, 2, 8, 1, 16, 4, 1)
    save_generator(path, network, {}, {"images_seen": 1})
    before = path.read_bytes()
    monkeypatch.setattr(weights, "save_file", lambda tensors, path, **_: full_disk(path))
    torch.nn.init.zeros_(network.synthesis.b8.torgb.bias)
    with pytest.raises(LatregError, match="the previous one is kept"), whole_or_not(path, path.with_suffix(".tmp")):
        save_generator(path, network, {}, {"images_seen": 2})
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["g.json", "g.safetensors"]
