import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SMALL = (
    "classifier.network_args.widths=[4,8]",
    "classifier.training.epochs=2",
    "classifier.training.batch_size=10",
    "dataset.validation_size=10",
    "classifier.probe_images=0",
)
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
DUMP = """
import os, torch
from latreg.classifier.module import ClassifierModule

def on_fit_end(self):
    torch.save(self.state_dict(), f"{os.environ['DUMP']}/{os.environ.get('LOCAL_RANK', '0')}.pt")

ClassifierModule.on_fit_end = on_fit_end
"""


@pytest.mark.usefixtures("toy_mnist")
def test_two_processes_train_the_same_weights_and_one_writes(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(DUMP)
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths, "DUMP": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "latreg.run", "+experiment=mnist_classifier", *SMALL, *TWO, "hydra.run.dir=run"]
    result = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
    )
    assert result.returncode == 0, result.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    learned = [name for name in first if "running" not in name and "accuracy" not in name]
    assert all(torch.equal(first[name], second[name]) for name in learned)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["images_seen"] == 100
    assert (tmp_path / "run" / "mnist_sut.safetensors").is_file()
    assert sorted(p.name for p in tmp_path.glob("run/*.log")) == ["run.log"]
