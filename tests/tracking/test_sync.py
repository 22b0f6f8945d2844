"""A real search with the shipped weights, kept offline, then uploaded by `wandb sync` to a server on loopback."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from latreg.run import main
from latreg.runs.records import measured_columns, read_records
from latreg.runs.strips import enlarged
from latreg.tracking import COLUMNS, link
from latreg.tracking.search import IMAGES, NAMES, _cell
from tests.helpers.wandb_server import KEY, forget_user, serving

SEARCH = [
    "+experiment=mnist_random",
    "search.sources_per_class=2",
    "search.classes=[4,7]",
    "classifier.probe_images=50",
]


@pytest.fixture
def run_dir(monkeypatch, tmp_path):
    """The folder of a search; nothing of it is uploaded yet."""
    forget_user(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["latreg.run", *SEARCH, f"hydra.run.dir={tmp_path / 'run'}"])
    main()
    return tmp_path / "run"


@pytest.fixture
def account(run_dir):
    """What a server has been told after `wandb sync`, the command that the log of the run names."""
    (offline,) = run_dir.glob("wandb/offline-run-*")
    assert f"wandb sync {offline}" in (run_dir / "run.log").read_text()
    with serving() as account:
        user = {name: value for name, value in os.environ.items() if name not in link._FOLDERS}
        environment = user | {"WANDB_BASE_URL": account.url, "WANDB_API_KEY": KEY}
        command = [sys.executable, "-m", "wandb", "sync", str(offline)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        yield account


def test_every_row_of_the_table_arrives(run_dir, account):
    records = list(read_records(run_dir))
    assert len(records) == 4
    assert any(record.flipped for record in records), "or the strips would be empty"

    ((name, run),) = account.runs.items()
    columns = [*COLUMNS, *measured_columns(run_dir), "queries"]
    table = json.loads(account.files[f"run-{name}-boundary/boundary.table.json"])
    assert table["columns"] == [*IMAGES, *NAMES, *columns]
    assert len(table["data"]) == len(records)
    for row, record in zip(table["data"], records, strict=True):
        named, answer, *cells = row[len(IMAGES) :]
        images = (record.source_image, record.last_image, record.first_image, record.severe_image)
        for picture, image in zip(row, images, strict=False):
            assert (picture is None) == (image is None)
            if picture is not None:
                uploaded = Image.open(io.BytesIO(account.files[f"run-{name}-boundary/{picture['path']}"]))
                assert np.array_equal(np.asarray(uploaded), enlarged(image))
        assert (named, answer) == (str(record.label), None if record.predicted is None else str(record.predicted))
        assert cells == [_cell(record.column(name)) for name in columns]

    metrics = json.loads((run_dir / "metrics.json").read_text())
    summary = json.loads(account.files[f"{name}/wandb-summary.json"])
    assert summary["boundary"]["nrows"] == len(records)
    assert summary["valid_faults"] == metrics["valid_faults"]
    points = [line for line in account.streams["wandb-history.jsonl"] if "search/queries" in line]
    assert [point["search/sources"] for point in points] == [1, 2, 3, 4]
    assert points[-1]["search/queries"] == metrics["queries"]
    assert account.files[f"records-{name}/part-00000.parquet"] == (run_dir / "records/part-00000.parquet").read_bytes()
    assert (run["groupName"], run["jobType"]) == ("mnist_random", "search")
