"""Checkpoints that are small enough to keep."""

import json

import pytest
import torch

from latreg.generator import compact
from tests.helpers.small_generator import SMALL_GENERATOR


@pytest.fixture
def trained(cli, toy_mnist, tmp_path):
    """A training of 24 images."""
    command = (
        "+experiment=mnist_generator",
        *SMALL_GENERATOR,
        "dataset.validation_size=10",
        "validity.judge=[]",
        "trainer=cpu",
    )
    code, _, err = cli(*command, f"hydra.run.dir={tmp_path / 'run'}", "generator.training.total_images=24")
    assert code == 0, err
    return command, tmp_path / "run" / "checkpoints" / "last.ckpt"


def test_a_training_goes_on_from_a_compact_checkpoint(cli, trained, tmp_path):
    command, checkpoint = trained
    kept = tmp_path / "other" / "checkpoints" / "last.ckpt"
    assert compact.main([str(checkpoint), "-o", str(kept)]) == 0
    assert kept.stat().st_size < 0.7 * checkpoint.stat().st_size  # mostly names: the networks are tiny
    before, after = (torch.load(path, weights_only=True) for path in (checkpoint, kept))
    assert after["n_images"] == before["n_images"] == 24
    for name, tensor in before["state_dict"].items():
        torch.testing.assert_close(after["state_dict"][name].to(tensor.dtype), tensor, rtol=1e-3, atol=1e-4)

    more = ("generator.training.total_images=32", "resume=true")
    code, _, err = cli(*command, f"hydra.run.dir={tmp_path / 'other'}", *more)
    assert code == 0, err
    assert json.loads((tmp_path / "other" / "mnist_stylegan2_small.json").read_text())["images_seen"] == 32
    content = torch.load(kept, weights_only=True)
    assert all(tensor.dtype != torch.float16 for tensor in content["state_dict"].values())
    moments = [state["exp_avg"] for of in content["optimizer_states"] for state in of["state"].values()]
    assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in moments)


def test_something_else_is_refused(tmp_path, capfd):
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {}}, path)
    assert compact.main([str(path), "-o", str(tmp_path / "out.ckpt")]) == 2
    assert "expected the checkpoint of such a training in" in capfd.readouterr().err
    assert not (tmp_path / "out.ckpt").exists()
