"""CONTRIBUTING.md, "Add a gate in four steps": what is written here is all that a further gate takes."""

import json
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from latreg.report import page, results
from latreg.report.gather import gather
from latreg.runs.records import measured_columns, read_records
from latreg.tracking import search as tracking
from latreg.validity.gate import Gate
from latreg.validity.held_out import HeldOut
from tests.helpers.example_records import FLAGS, MEASURED
from tests.helpers.studies import make_run, with_faults

# ---- step 1: the gate


class Bright(Gate):
    """The image is bright enough."""

    name = "bright"
    columns = {"brightness": float, "bright": bool}  # noqa: RUF012 - as short as it can be

    def __init__(self, threshold):
        self.threshold = threshold

    def measure(self, pairs):
        brightness = pairs.candidates.double().mean((1, 2, 3))
        return {"brightness": brightness, "bright": brightness >= self.threshold}


# ---- step 2: its configuration

THRESHOLD = 0.12
YAML = f"""
defaults: [default, _self_]
gates: [label_kept, bright]
more_gates:
  bright: {{_target_: {__name__}.Bright, threshold: {THRESHOLD}}}
"""

# ---- step 3: a run

SMALL = ("search.sources_per_class=2", "search.max_queries_per_source=30", "device=cpu")
MANY_FLIPS = "strategy.layer_sets=[[0,1,2,3,4,5,6,7]]"


@pytest.fixture
def logged(monkeypatch):
    """What is sent to Weights & Biases."""
    run = MagicMock(id="run")
    link = SimpleNamespace(attempt=lambda action: action(run), close=lambda failed: None)
    monkeypatch.setattr(tracking, "Link", lambda *_, **__: link)
    return run.log


def run_search(cli, folder):
    (folder / "conf" / "validity").mkdir(parents=True)
    (folder / "conf" / "validity" / "bright.yaml").write_text(YAML)
    mine = (f"hydra.searchpath=[file://{folder / 'conf'}]", "validity=bright", f"hydra.run.dir={folder / 'run'}")
    code, _, err = cli("+experiment=mnist_mixing", *mine, *SMALL, MANY_FLIPS)
    assert code == 0, err
    return folder / "run"


def test_a_further_gate_is_measured_recorded_counted_reported_and_tracked(cli, tmp_path, logged):
    run = run_search(cli, tmp_path)

    assert measured_columns(run) == MEASURED | HeldOut.columns | {"brightness": float, "bright": bool}
    found = list(read_records(run))
    flips = [record for record in found if record.flipped]
    bright = [record for record in flips if record.measured["bright"]]
    assert 0 < len(bright) < len(flips), "or the gate says nothing"
    for record in flips:
        assert record.measured["brightness"] == pytest.approx(record.first_image.mean() / 255)
        assert record.measured["bright"] == (record.measured["brightness"] >= THRESHOLD)
        assert record.valid_fault == (record.measured["bright"] and record.measured["label_kept"])

    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["bright"] == len(bright)
    assert sum(stratum["bright"] or 0 for stratum in metrics["strata"].values()) == len(bright)

    without = make_run(tmp_path / "without", with_faults(9, 3), "random")
    results.write(gather([run, without]), tmp_path / "results")
    table = results.read(tmp_path / "results")
    assert table.gates == [*FLAGS, "held_out", "bright"]
    (own, other) = (next(r.numbers for r in table.cells if r.cell.strategy == name) for name in ("mixing", "random"))
    assert (own["bright"], own["bright_share"]) == (len(bright), pytest.approx(len(bright) / len(flips)))
    assert other["bright"] is None
    assert "bright, of flips" in page.page(table, {})

    sent = [call.args[0] for call in logged.call_args_list]
    assert [point["search/bright"] for point in sent if "search/bright" in point][-1] == len(bright)
    last = next(point for point in reversed(sent) if "boundary" in point)
    columns = last["boundary"].columns
    assert {"brightness", "bright"} <= set(columns)
    assert sum(row[columns.index("bright")] is True for row in last["boundary"].data) == len(bright)


# ---- step 4: on images whose answer is known, see test_gates.py
