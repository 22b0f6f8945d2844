"""Weights, records and exported faults go to a hub on loopback, which holds them as they can be opened again."""

import json

import datasets
import pytest

from latreg import export, publish
from latreg.runs.records import read_records
from latreg.zoo.weights import ZOO
from tests.helpers.example_records import pair
from tests.helpers.hub_server import serving
from tests.test_export import FAULTS, make_run

REPO = "somebody/faults"


@pytest.fixture
def hub(monkeypatch):
    with serving() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)  # which is $HF_ENDPOINT, read once
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield hub


def push(*arguments, repo=REPO):
    return publish.main([str(argument) for argument in (*arguments, "--repo", repo)])


def downloaded(files, folder):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_weights_with_their_card(hub, capfd):
    assert push("zoo:mnist_sut", repo="somebody/sut") == 0
    assert capfd.readouterr().out.splitlines()[-1] == f"{hub.url}/somebody/sut"
    assert hub.tokens == {"Bearer hf_secret"}
    found = hub.repositories["models/somebody/sut"]
    assert found["visibility"] == "private"
    assert set(found["files"]) == {"README.md", "mnist_sut.safetensors", "mnist_sut.json"}
    assert found["files"]["mnist_sut.safetensors"] == (ZOO / "mnist_sut.safetensors").read_bytes()
    card = found["files"]["README.md"].decode()
    assert card.startswith('---\ntags: ["latreg", "classifier"]\n---\n# mnist_sut\n')
    assert "classifier.weights=mnist_sut.safetensors" in card
    assert "| test accuracy | 0.9961 (0.9947 to 0.9971) |" in card
    assert "## Recipe" in card


def test_records_of_a_run(hub, tmp_path, capfd):
    run = make_run(tmp_path / "run")
    (run / "run.log").write_text("/home/somebody")
    assert push(run) == 0
    files = hub.repositories[f"datasets/{REPO}"]["files"]
    said = capfd.readouterr().out
    assert set(files) == {
        *("README.md", "config.yaml", "status.json", "records/part-00000.parquet", "pairs/part-00000.parquet")
    }
    assert all(name in said for name in files)
    assert "# Search of mnist_sut on mnist: mixing, no truncation, class center" in files["README.md"].decode()
    folder = downloaded(files, tmp_path / "downloaded")
    assert len(list(read_records(folder))) == len(FAULTS)
    cache = str(tmp_path / "cache")
    rows = datasets.load_dataset(str(folder), "records", split="train", cache_dir=cache)
    assert rows["z_seed"][:] == [1, 2, 3, 4]


def test_parts_of_an_earlier_run_do_not_stay(hub, tmp_path):
    hub.create("dataset", "somebody", "faults", "private")
    files = hub.repositories[f"datasets/{REPO}"]["files"]
    files |= {"records/part-00007.parquet": b"", "LICENSE": b"mine"}
    assert push(make_run(tmp_path / "run")) == 0
    assert files["LICENSE"] == b"mine"
    assert "records/part-00007.parquet" not in files


def test_exported_faults(hub, tmp_path):
    run, out = make_run(tmp_path / "run", [pair(z_seed=1, label=3, predicted=5)]), tmp_path / "out"
    assert export.main([str(run), "--format", "hf", "-o", str(out)]) == 0
    assert push(out, "--public") == 0
    found = hub.repositories[f"datasets/{REPO}"]
    assert found["visibility"] == "public"
    folder = downloaded(found["files"], tmp_path / "downloaded")
    rows = datasets.load_dataset(str(folder), split="test", cache_dir=str(tmp_path / "cache"))
    assert rows.features["predicted"].int2str(rows[0]["predicted"]) == "5"


def test_a_dry_run_needs_no_hub(monkeypatch, capfd):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert push("zoo:mnist_sut", "--dry-run") == 0
    assert capfd.readouterr().out.startswith(f"model {REPO}, private:\n")


@pytest.mark.parametrize(
    ("repo", "message"),
    [("faults", "--repo must be owner/name, got 'faults'"), ("a b/c", "the Hugging Face hub does not take a b/c: ")],
)
def test_names_that_are_none(hub, repo, message, capfd):
    assert push("zoo:mnist_sut", repo=repo) == 2
    assert message in capfd.readouterr().err
    assert hub.repositories == {}


def test_what_is_refused(hub, tmp_path, monkeypatch, capfd):
    assert push(tmp_path) == 2
    assert "expected weights, the folder of a run or one that latreg.export wrote, got" in capfd.readouterr().err
    hub.create("model", *REPO.split("/"), "public")
    assert push("zoo:mnist_sut") == 2
    assert f"{REPO} is public already: say --public" in capfd.readouterr().err
    hub.refuses = True
    assert push("zoo:mnist_sut", "--public") == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "the Hugging Face hub does not take" in line]
    assert "You have no rights there" in line
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert push("zoo:mnist_sut") == 2
    assert "expected a token of the Hugging Face hub: run `hf auth login`" in capfd.readouterr().err


def test_the_card_says_what_config_and_status_say(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "metrics.json").write_text(json.dumps({"sources": 4, "valid_faults": 2}))
    card = publish.parcel_of(str(run)).files["README.md"].decode()
    assert "| sources | 4 |" in card
    assert "| valid faults | 2 |" in card
    assert "\npython -m latreg.run +experiment=mnist_mixing\n" in card
    assert "/somewhere" not in card
