"""Fixtures shared by all tests."""

import gc
import os
import sys

import datasets
import numpy as np
import pytest
from hydra._internal.hydra import Hydra
from hydra.types import RunMode
from PIL import Image

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_sessionstart():
    """What the tests import stays to the end: to look for garbage among it, again and again, takes seconds."""
    gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """What a test has written may hold names that are no UTF-8, which xdist cannot send."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture
def cli(monkeypatch, tmp_path, capfd):
    """Runs `python -m latreg.run` in this process and an empty folder => exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        from latreg.run import main

        monkeypatch.setattr(sys, "argv", ["latreg.run", *map(str, arguments), "tracking=disabled"])
        if not {"-m", "+experiment=paper_smoke"} & {*arguments}:  # else Hydra composes all to know that it is no sweep
            monkeypatch.setattr(Hydra, "get_mode", lambda *_, **__: RunMode.RUN)
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def toy_mnist(monkeypatch, tmp_path):
    """$LATREG_DATA/mnist with 60 training and 20 test images of noise, in the hub's layout."""
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=10)})
    for split, count in (("train", 60), ("test", 20)):
        images = [Image.fromarray(rng.integers(0, 256, (28, 28), dtype=np.uint8)) for _ in range(count)]
        rows = {"image": images, "label": [i % 10 for i in range(count)]}
        parquet = datasets.Dataset.from_dict(rows, features=features)
        parquet.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    monkeypatch.setenv("LATREG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LATREG_CACHE", str(tmp_path / "cache"))
    return folder
