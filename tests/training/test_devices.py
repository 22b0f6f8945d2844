"""Training of classifiers and of the VAE in two processes, by the real command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

CLASSIFIER = (
    "classifier.network_args.widths=[4,8]",
    "classifier.training.epochs=2",
    "classifier.training.batch_size=10",
    "classifier.probe_images=0",
)
VAE = ("validity.training.widths=[4,8]", "validity.training.epochs=2", "validity.training.batch_size=10")
TWO = ("dataset.validation_size=10", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.run.dir=run")
DUMP = """
import os, torch
from latreg.{module} import {name}

def on_fit_end(self):
    torch.save(self.state_dict(), f"{{os.environ['DUMP']}}/{{os.environ.get('LOCAL_RANK', '0')}}.pt")

{name}.on_fit_end = on_fit_end
"""


@pytest.mark.usefixtures("toy_mnist")
@pytest.mark.parametrize(
    ("experiment", "settings", "module", "name", "weights"),
    [
        ("mnist_classifier", CLASSIFIER, "classifier.module", "ClassifierModule", "mnist_sut.safetensors"),
        ("mnist_vae", VAE, "validity.module", "VAEModule", "mnist_vae.safetensors"),
    ],
)
def test_two_processes_train_the_same_weights_and_one_writes(
    experiment: str, settings: tuple[str, ...], module: str, name: str, weights: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DUMP.format(module=module, name=name))
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths, "DUMP": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "latreg.run", f"+experiment={experiment}", *settings, *TWO]
    result = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
    )
    assert result.returncode == 0, result.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    learned = [key for key in first if "running" not in key and "accuracy" not in key]
    assert learned
    assert all(torch.equal(first[key], second[key]) for key in learned)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["images_seen"] == 100
    assert (tmp_path / "run" / weights).is_file()
    assert sorted(p.name for p in tmp_path.glob("run/*.log")) == ["run.log"]
