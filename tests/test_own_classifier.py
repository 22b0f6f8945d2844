"""A search of a classifier that is not latreg's, end to end: what a user types, and what comes back."""

import json
from pathlib import Path

import pytest
import torch

from latreg import replay, retest
from latreg.classifier.networks import build
from latreg.classifier.sut import load_sut
from latreg.config import DatasetConfig
from latreg.runs.records import read_records
from latreg.zoo.weights import load, resolve

TINY = ("+experiment=mnist_random", "search.sources_per_class=3", "search.classes=[2,8]", "device=cpu")
TINY += ("search.max_queries_per_source=30", "search.part_size=1")
MNIST = DatasetConfig(name="mnist", channels=1, resolution=32, class_names=list("0123456789"))


class Network(torch.nn.Module):
    """The shipped network as somebody else's: in gray levels of 0 .. 255, cropped to MNIST's 28x28."""

    def __init__(self):
        super().__init__()
        _, made = load(resolve("zoo:mnist_sut", "classifier"), "classifier")
        self.inner = build(made["network"], made["channels"], made["num_classes"], made["network_args"])

    def forward(self, images):
        return self.inner(torch.nn.functional.pad(images / 255, (2, 2, 2, 2)))


class Service:
    """The shipped network as a remote service that breaks down after so many calls."""

    def __init__(self):
        self.sut, self.calls_left = None, None

    def __call__(self, images):
        self.sut = self.sut or load_sut("zoo:mnist_sut", MNIST)
        if self.calls_left is not None:
            if self.calls_left == 0:
                raise TimeoutError("the service is down")
            self.calls_left -= 1
        return self.sut(torch.from_numpy(images)).numpy()


service = Service()


@pytest.fixture
def own_network(tmp_path):
    network = Network()
    network.inner.load_state_dict(load(resolve("zoo:mnist_sut", "classifier"), "classifier")[0])
    torch.save(network.state_dict(), tmp_path / "net.pt")
    return (
        "classifier=torch",
        f"classifier.network={__name__}.Network",
        f"classifier.weights={tmp_path / 'net.pt'}",
        "classifier.size=28",
        "classifier.fit=crop",
    )


def test_what_workers_ask_is_counted(cli, tmp_path):
    run = tmp_path / "run"
    settings = ("classifier=callable", f"classifier.function={__name__}.service")
    code, _, err = cli(*TINY, *settings, "search.workers=2", f"hydra.run.dir={run}")
    assert code == 0, err
    status, metrics = (json.loads((run / f"{name}.json").read_text()) for name in ("status", "metrics"))
    assert status["classifier"]["images"] >= metrics["queries"] > 0


def test_a_network_of_ones_own_is_searched_and_replayed(cli, tmp_path, own_network):
    run = tmp_path / "run"
    code, _, err = cli(*TINY, *own_network, "classifier.white=255", f"hydra.run.dir={run}")
    assert code == 0, err
    status = json.loads((run / "status.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert status["classifier"]["images"] >= metrics["queries"] + 1000
    assert "right on 99.3 % of 1000 test images" in (run / "run.log").read_text()
    assert replay.main([str(run), "--trust"]) == 0
    assert cli(*TINY, f"hydra.run.dir={tmp_path / 'shipped'}")[0] == 0
    own, shipped = (list(read_records(tmp_path / name)) for name in ("run", "shipped"))
    assert [r.queries for r in own] == [r.queries for r in shipped]
    assert [r.source_predicted for r in own] == [r.source_predicted for r in shipped]
    assert own[0].sut_id == status["weights"]["sut"] != shipped[0].sut_id
    if any(record.flipped for record in own):
        settings = [*own_network, "classifier.white=255", "--kind", "flipped", "--max-failure-rate", "0.9"]
        assert retest.main([str(run), *settings]) == 1


def test_what_is_not_understood_is_refused_before_the_search(cli, tmp_path, own_network):
    run = tmp_path / "run"
    code, _, err = cli(*TINY, *own_network, f"hydra.run.dir={run}")
    assert code == 1
    assert "it takes pixels of 0..255, and was fed 0..1; with classifier.white=255 it is right on" in err
    assert not (run / "records").exists()
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "failed"
    assert "classifier.white=255" in status["error"]


def test_a_service_that_breaks_down_costs_nothing_that_was_found(cli, tmp_path, monkeypatch):
    run = tmp_path / "run"
    command = (*TINY, "classifier=callable", f"classifier.function={__name__}.service", "classifier.retries=1")
    command += ("classifier.wait=0", "search.concurrency=1", f"hydra.run.dir={run}", "resume=true")
    monkeypatch.setattr(service, "calls_left", 20)
    code, _, err = cli(*command)
    assert code == 1
    lines = [line for line in err.splitlines() if "failed 2 times on" in line]
    assert len(lines) == 1
    assert "the last time with TimeoutError: the service is down; what was found before is saved" in lines[0]
    assert "the service is down" in json.loads((run / "status.json").read_text())["error"]
    found = list(read_records(run))
    assert 0 < len(found) < 6

    monkeypatch.setattr(service, "calls_left", None)
    assert cli(*command)[0] == 0
    again = list(read_records(run))
    assert [(r.label, r.z_seed) for r in again[: len(found)]] == [(r.label, r.z_seed) for r in found]
    assert len(again) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["classifier=torch"], "classifier.network must be the import path of something"),
        (["classifier=callable"], "classifier.function must be the import path of something"),
        (["classifier=export", "classifier.weights=nothing.pt2"], "must name an existing file, got nothing.pt2"),
        (["classifier=onnx"], "classifier.weights must name a weights file"),
        (["classifier=callable", "classifier.function=os.getcwd", "stage=train_classifier"], "got classifier=callable"),
        (["classifier=torch", "classifier.function=os.getcwd"], "function"),
    ],
)
def test_bad_input_is_one_sentence(settings, message, cli):
    code, _, err = cli("+experiment=mnist_random", *settings)
    assert code == 1
    assert message in err
    assert "Traceback" not in err


def test_folder_of_the_user_is_imported_from(cli, tmp_path):
    Path("my_classifier.py").write_text("raise ValueError('broken on purpose')\n")
    code, _, err = cli(*TINY, "classifier=callable", "classifier.function=my_classifier.classify")
    assert code == 1
    assert "classifier.function must be the import path" in err
