"""Training in two processes, by the real command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.small_generator import SMALL

SETTINGS = (
    "classifier.network_args.widths=[4,8]",
    "classifier.training.epochs=2",
    "classifier.training.batch_size=10",
    "classifier.probe_images=0",
    "validity.training.widths=[4,8]",
    "validity.training.epochs=2",
    "validity.training.batch_size=10",
    *SMALL,
    "generator.training.augment=[blit,geom,color]",
    "generator.training.augment_images=100",
)
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "tracking=offline")
DUMP = """
import os, torch
from latreg.classifier.module import ClassifierModule
from latreg.generator.module import StyleGAN2Module
from latreg.validity.module import VAEModule

def on_fit_end(self):
    torch.save(self.state_dict(), f"{os.environ['DUMP']}/{type(self).__name__}-{os.environ.get('LOCAL_RANK', '0')}.pt")

for module in ClassifierModule, StyleGAN2Module, VAEModule:
    module.on_fit_end = on_fit_end
"""
JOBS = (
    ("mnist_classifier", "ClassifierModule", "mnist_sut", {"images_seen": 100}),
    ("mnist_vae", "VAEModule", "mnist_vae", {"images_seen": 100}),
    ("mnist_generator", "StyleGAN2Module", "mnist_stylegan2_small", {"n_images": 32}),
)
ITS_OWN = ("running", "accuracy", "w_avg")  # what each process tracks by itself; that of the first is saved


@pytest.mark.usefixtures("toy_mnist")
def test_two_processes_train_the_same_weights_and_one_writes(tmp_path: Path) -> None:
    """The trainings are jobs of one command, whose first process needs to start only once."""
    (tmp_path / "sitecustomize.py").write_text(DUMP)
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths, "DUMP": str(tmp_path), "OMP_NUM_THREADS": "1"}
    experiments = ",".join(name for name, *_ in JOBS)
    command = [sys.executable, "-m", "latreg.run", "-m", f"+experiment={experiments}", *SETTINGS, *TWO]
    result = subprocess.run(
        [*command, "hydra.sweep.dir=runs"],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "multirun").exists()
    for job, (_, module, weights, seen) in enumerate(JOBS):
        ranks = [torch.load(tmp_path / f"{module}-{rank}.pt", weights_only=True) for rank in range(2)]
        check_same_weights(*ranks)
        check_run(tmp_path / "runs" / str(job), weights, seen)
    saved = torch.load(tmp_path / "runs" / "2" / "checkpoints" / "last.ckpt", weights_only=True)
    check_same_weights(ranks[0], saved["state_dict"])


def check_same_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    learned = [key for key in first if not any(part in key for part in ITS_OWN)]
    assert learned
    assert [key for key in learned if not torch.equal(first[key], second[key])] == []


def check_run(run: Path, weights: str, seen: dict[str, int]) -> None:
    """One of the processes wrote all of it."""
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    assert json.loads((run / "metrics.json").read_text()).items() >= seen.items()
    assert (run / f"{weights}.safetensors").is_file()
    assert len(list(run.glob("wandb/offline-run-*"))) == 1
    assert sorted(p.name for p in run.glob("*.log")) == ["run.log"]
