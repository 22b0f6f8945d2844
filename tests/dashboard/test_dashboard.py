import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from latreg.config import TrackingConfig, conf_dir, register
from latreg.dashboard.__main__ import main
from latreg.jobs.scoring import JUDGED
from latreg.measures import metrics
from latreg.tracking import Tracker
from tests.helpers.example_records import FLAGS, MEASURED, pair, record
from tests.helpers.wandb_server import ENTITY, KEY, PROJECT, forget_user, serving

# python -m latreg.dashboard latreg --print > tests/dashboard.json
SNAPSHOT = Path(__file__).with_name("dashboard.json")
OF_THE_RUN = {"group", "jobType", "createdAt", "displayName"}  # what W&B itself knows of a run
NO_KEYS = ("Run Comparer",)


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    forget_user(monkeypatch, tmp_path)


@pytest.fixture
def account(monkeypatch):
    with serving() as account:
        monkeypatch.setenv("WANDB_BASE_URL", account.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield account


def test_the_specification_is_the_one_that_was_looked_at(capsys):
    assert main(["any", "--print"]) == 0
    assert capsys.readouterr().out == SNAPSHOT.read_text()


# ---- keys


def logged_keys(run_dir):
    """What a run logs, as the specification names it."""
    register()
    with initialize_config_dir(conf_dir(), version_base=None):
        config = OmegaConf.to_container(compose("config", ["+experiment=mnist_random"]), resolve=True)
    kept = pair(in_distribution=True, stratum="confident")
    found = [
        record(stratum="confident"),
        replace(kept, measured=kept.measured | {"held_out": True}),
        pair(z_seed=1, in_distribution=False),
    ]
    (run_dir / "records").mkdir(parents=True)
    with Tracker(TrackingConfig(mode="offline"), config, run_dir, "exp", measured=MEASURED) as tracker:
        for source in found:
            tracker.log_record(source)
        variety = dict.fromkeys(JUDGED, 1)  # measured only where there is a judge
        tracker.finish(metrics.summarize(found, FLAGS, seconds=1.0) | variety, {})
    (file,) = run_dir.glob("wandb/*run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    history = {key for e in entries if e["type"] == "history" for key in names_of(e["history"]["item"])}
    summary = {key for e in entries if e["type"] == "summary" for key in names_of(e["summary"]["update"])}
    (run,) = [e["run"] for e in entries if e["type"] == "run"]
    return history, history | summary, {f"config:{key}" for key in paths(run["config"]["update"])}


def names_of(values):
    """Without what tables have inside: boundary.nrows => boundary."""
    return {key.split(".")[0] for key in values}


def paths(config):
    """Names of settings as W&B stores them: {"a": {"b": 1}} => a.value.b."""
    for key, value in config.items():
        yield f"{key}.value"
        yield from (f"{key}.value.{path}" for path in inner_paths(value))


def inner_paths(value):
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key
        yield from (f"{key}.{path}" for path in inner_paths(inner))


def named_keys(section):
    """Keys that a specification names: of histories, of summaries, of settings."""
    history, summary, config = set(), set(), set()
    for panel in [p for s in section["panelBankConfig"]["sections"] for p in s["panels"]]:
        content = panel["config"]
        match panel["viewType"]:
            case "Run History Line Plot":
                history |= {content["xAxis"], *content["metrics"]}
                config |= {f"config:{content[key]}" for key in ("groupBy",) if key in content}
            case "Scatter Plot":
                summary |= {content[axis].removeprefix("summary:") for axis in ("xAxis", "yAxis")}
            case "Bar Chart":
                summary |= set(content["metrics"])
            case "Weave":
                summary.add(content["panel2Config"]["exp"]["fromOp"]["inputs"]["key"]["val"])
            case kind:
                assert kind in NO_KEYS
    history.add(section["settings"]["xAxis"])
    for runs in section["runSets"]:
        keys = [*runs["grouping"], *(item["key"] for item in [*runs["sort"]["keys"], *runs["filters"]["filters"]])]
        names = [*(f"{key['section']}:{key['name']}" for key in keys), *runs["runFeed"]["columnOrder"]]
        config |= {name for name in names if name.startswith("config:")}
        summary |= {name.removeprefix("summary:") for name in names if name.startswith("summary:")}
        others = {name for name in names if not name.startswith(("config:", "summary:"))}
        assert others <= {f"run:{name}" for name in OF_THE_RUN}
    return history, summary, config


def test_panels_name_keys_that_runs_log(tmp_path):
    named = named_keys(json.loads(SNAPSHOT.read_text())["section"])
    logged = logged_keys(tmp_path / "run")
    for names, known in zip(named, logged, strict=True):
        assert names
        assert names <= known, f"no run logs {sorted(names - known)}"


# ---- saving


def test_saving_twice_leaves_one_workspace(account, capsys):
    for _ in range(2):
        assert main([PROJECT]) == 0
    address = f"{account.url}/{ENTITY}/{PROJECT}?nw=latregboard"
    assert capsys.readouterr().out == f"{address}\n{address}\n"
    (view,) = account.views.values()
    assert view["id"], "the second time it was replaced"
    assert view["entityName"] == ENTITY
    assert json.loads(view["spec"]) == json.loads(SNAPSHOT.read_text())


def test_of_a_team(account):
    assert main([PROJECT, "--entity", "team"]) == 0
    (view,) = account.views.values()
    assert view["entityName"] == "team"


def grids(specification):
    """The panel grids of a report."""
    return [block["metadata"] for block in specification["blocks"] if block["type"] == "panel-grid"]


def test_the_report_shows_the_panels_of_the_workspace(capsys):
    assert main(["any", "--report", "--print"]) == 0
    of_report = grids(json.loads(capsys.readouterr().out))
    of_workspace = json.loads(SNAPSHOT.read_text())["section"]
    panels = [[p["config"] for p in grid["panelBankSectionConfig"]["panels"]] for grid in of_report]
    wanted = [[p["config"] for p in s["panels"]] for s in of_workspace["panelBankConfig"]["sections"]]
    assert [len(some) for some in panels] == [len(some) for some in wanted]
    for grid in of_report:
        (runs,) = grid["runSets"]
        (wanted,) = of_workspace["runSets"]
        assert [key["name"] for key in runs["grouping"]] == [key["name"] for key in wanted["grouping"]]
        places = [tuple(p["layout"][side] for side in "xywh") for p in grid["panelBankSectionConfig"]["panels"]]
        assert len(set(places)) == len(places), "or one panel would hide another"


def test_a_report_is_new_each_time(account, capsys):
    for _ in range(2):
        assert main([PROJECT, "--report"]) == 0
    assert len(set(capsys.readouterr().out.splitlines())) == 2
    assert len(account.views) == 2


# ---- errors


def complaint(capsys, *arguments):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_a_project_that_is_not_there(account, capsys):
    assert f"{ENTITY}/mine does not exist" in complaint(capsys, "mine")
    assert account.views == {}


def test_without_a_key(capsys):
    assert complaint(capsys, PROJECT) == "no API key is set (`wandb login` or WANDB_API_KEY)\n"


def test_a_key_that_cannot_be_one(account, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    assert "WANDB_API_KEY invalid" in complaint(capsys, PROJECT)


def test_a_server_that_refuses(account, capsys):
    account.forbidden.add("upsertView")
    assert complaint(capsys, PROJECT) == "W&B failed: input: upsertView permission denied\n"


def test_without_the_extra(capsys, monkeypatch):
    for name in [n for n in sys.modules if n.startswith(("latreg.dashboard.saving", "latreg.dashboard.workspace"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert "pip install 'latreg[dashboard]'" in complaint(capsys, PROJECT, "--print")
