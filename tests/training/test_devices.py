"""Training of classifiers and of the VAE in two processes, by the real command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SETTINGS = (
    "classifier.network_args.widths=[4,8]",
    "classifier.training.epochs=2",
    "classifier.training.batch_size=10",
    "classifier.probe_images=0",
    "validity.training.widths=[4,8]",
    "validity.training.epochs=2",
    "validity.training.batch_size=10",
    "dataset.validation_size=10",
)
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
DUMP = """
import os, torch
from latreg.classifier.module import ClassifierModule
from latreg.validity.module import VAEModule

def on_fit_end(self):
    torch.save(self.state_dict(), f"{os.environ['DUMP']}/{type(self).__name__}-{os.environ.get('LOCAL_RANK', '0')}.pt")

ClassifierModule.on_fit_end = VAEModule.on_fit_end = on_fit_end
"""
TRAINED = (("ClassifierModule", "mnist_sut.safetensors"), ("VAEModule", "mnist_vae.safetensors"))


@pytest.mark.usefixtures("toy_mnist")
def test_two_processes_train_the_same_weights_and_one_writes(tmp_path: Path) -> None:
    """Both trainings are jobs of one command, whose first process needs to start only once."""
    (tmp_path / "sitecustomize.py").write_text(DUMP)
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths, "DUMP": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "latreg.run", "-m", "+experiment=mnist_classifier,mnist_vae", *SETTINGS, *TWO]
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
    for job, (module, weights) in enumerate(TRAINED):
        check(tmp_path / "runs" / str(job), tmp_path / module, weights)


def check(run: Path, dumped: Path, weights: str) -> None:
    """What two processes learned, and what one of them wrote."""
    first, second = (torch.load(f"{dumped}-{rank}.pt", weights_only=True) for rank in range(2))
    learned = [key for key in first if "running" not in key and "accuracy" not in key]
    assert learned
    assert all(torch.equal(first[key], second[key]) for key in learned)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["images_seen"] == 100
    assert (run / weights).is_file()
    assert sorted(p.name for p in run.glob("*.log")) == ["run.log"]
