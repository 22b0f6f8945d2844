import json
import logging
import os
import pty
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wandb
from omegaconf import OmegaConf

from latreg import agreement
from latreg.composing import composed
from latreg.config import TrackingConfig
from latreg.interfaces import BoundaryRecord
from latreg.runs import strips
from latreg.runs.folder import flatten
from latreg.runs.provenance import git_commit
from latreg.tracking import COLUMNS, Tracker, lightning_logger, link
from latreg.tracking.search import FIRST_TABLE, IMAGES, NAMES, _cell_of
from tests.helpers.answers import answered_study
from tests.helpers.example_records import MEASURED, pair, record
from tests.helpers.wandb_server import KEY, forget_user, serving

CONFIG = {
    "stage": "search",
    "strategy": {"name": "mixing"},
    "truncation": {"mode": "fixed", "psi": 0.7, "center": "class"},
    "dataset": {"name": "mnist", "class_names": [f"digit {n}" for n in range(10)]},
}
SOURCE = record(label=3, z_seed=0, queries=7)
PAIR = pair(label=3, z_seed=0, queries=7, predicted=5, screened=False)


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_user(monkeypatch, tmp_path)
    monkeypatch.setattr(link, "INIT_TIMEOUT", 1.0)
    monkeypatch.setattr(link, "FINISH_TIMEOUT", 2.0)


def config(**changes: object) -> TrackingConfig:
    return TrackingConfig(**{"mode": "offline", "tags": ["mine"], **changes})


def search(run_dir: Path, cfg: TrackingConfig, records: list[BoundaryRecord]) -> None:
    """What the search stage does."""
    (run_dir / "records").mkdir(parents=True)
    (run_dir / "records" / "part-0.parquet").write_bytes(b"rows")
    with Tracker(cfg, CONFIG, run_dir, "exp", measured=MEASURED, weights={"sut": "abc", "vae": None}) as tracker:
        for record in records:
            tracker.log_record(record)
        tracker.finish({"sources": len(records), "strata": {"confident": {"flipped": 1}}}, {"sut": "abc"})


def log_of(run_dir: Path) -> list[dict]:
    """All entries of the run's transaction log."""
    file = max(run_dir.glob("wandb/*run-*/*.wandb"), key=lambda path: "offline" in str(path))
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def table_of(run_dir: Path) -> dict:
    (file,) = run_dir.glob("wandb/*run-*/files/media/table/*.table.json")
    return json.loads(file.read_text())


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING and r.name == "latreg.tracking.link"]


def test_an_offline_run_holds_curves_table_summary_and_records(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    search(tmp_path / "run", config(), [SOURCE, PAIR])

    log = log_of(tmp_path / "run")
    (run,) = [entry["run"] for entry in log if entry["type"] == "run"]
    assert run["run_group"] == "exp"
    assert run["display_name"] == "mnist, mixing, psi 0.7, class center"
    assert set(run["tags"]) == {"mixing", "fixed", "mnist", "mine"}
    assert run["config"]["update"]["truncation"] == CONFIG["truncation"]
    assert run["config"]["update"]["truncation_label"] == "psi 0.7, class center"
    assert run["config"]["update"]["git_commit"] == git_commit()
    points = [e["history"]["item"] for e in log if e["type"] == "history" and "search/queries" in e["history"]["item"]]
    assert [(p["search/queries"], p["search/sources"], p["search/valid_faults"]) for p in points] == [
        (7, 1, 0),
        (14, 2, 1),
    ]
    assert {type(value) for point in points for key, value in point.items() if key.startswith("search/")} == {int}
    assert (points[1]["search/label_kept"], points[1]["search/screened"]) == (1, 0)
    assert "search/in_distribution" not in points[1], "there was no model to say so"
    axes = {e["metric"].get("glob_name"): e["metric"].get("step_metric") for e in log if e["type"] == "metric"}
    assert axes["search/*"] == "search/queries"
    summary = {k: v for e in log if e["type"] == "summary" for k, v in e["summary"]["update"].items()}
    assert summary["sources"] == 2
    assert summary["source_psi_median"] == 0.7
    assert summary["strata/confident/flipped"] == 1
    artifacts = {e["artifact"]["type"]: e["artifact"] for e in log if e["type"] == "artifact"}
    assert json.loads(artifacts["records"]["metadata"]) == {"sut": "abc"}
    assert json.loads(artifacts["weights"]["metadata"]) == {"sha256": "abc"}
    assert (artifacts["weights"]["name"], artifacts["weights"]["use_after_commit"]) == ("mnist-sut", True)
    assert [f["path"] for f in artifacts["records"]["manifest"]["contents"]] == ["part-0.parquet"]
    assert log[-1]["exit"]["exit_code"] == 0
    assert warnings_of(caplog) == []

    table = table_of(tmp_path / "run")
    assert table["columns"] == [*IMAGES, *NAMES, *COLUMNS, *MEASURED, "queries"]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["predicted"] for row in rows] == [None, 5]
    assert rows[1]["layers"] == "3,4"
    assert [(row["class"], row["answer"]) for row in rows] == [("digit 3", None), ("digit 3", "digit 5")]
    assert [[row[name] is not None for name in IMAGES] for row in rows] == [
        [True, False, False, False],
        [True, True, True, False],
    ]
    images = [f for f in artifacts["run_table"]["manifest"]["contents"] if f["path"].endswith(".png")]
    assert len(images) == 3  # both rows have the same source
    assert all(Path(image["local_path"]).is_relative_to(tmp_path / "run") for image in images)
    logged = {key.split(".")[0] for entry in log if entry["type"] == "history" for key in entry["history"]["item"]}
    of = ("sources/psi", "sources/margin", "flips/psi", "flips/alpha", "flips/margin")
    assert {f"histograms/{name}" for name in of} <= logged


def test_all_that_wandb_writes_lies_in_the_run_folder(tmp_path: Path):
    for job in ("0", "1"):  # a multirun: one process, several folders
        search(tmp_path / job, config(), [PAIR])
        assert len(list((tmp_path / job / "wandb" / "data").rglob("staging/*"))) >= 1
        assert log_of(tmp_path / job)[-1]["type"] == "exit"
    assert not (tmp_path / "home").exists()


def test_a_full_table_keeps_what_was_found(tmp_path: Path):
    records = [replace(SOURCE, z_seed=i) for i in range(4)] + [replace(PAIR, z_seed=9)]
    search(tmp_path / "run", config(table_rows=2), records)
    column = table_of(tmp_path / "run")["columns"].index("z_seed")
    assert [row[column] for row in table_of(tmp_path / "run")["data"]] == [0, 9]


def test_a_resumed_search_has_the_whole_curves(tmp_path: Path):
    with Tracker(config(), CONFIG, tmp_path / "run", "exp", measured=MEASURED, found=[SOURCE, PAIR]) as tracker:
        tracker.log_record(SOURCE)
    points = [e["history"]["item"] for e in log_of(tmp_path / "run") if e["type"] == "history"]
    assert [(point["search/queries"], point["search/flipped"]) for point in points] == [(7, 0), (14, 1), (21, 1)]


def test_the_table_grows_while_the_search_goes_on(tmp_path: Path):
    with Tracker(config(), CONFIG, tmp_path / "run", "exp", measured=MEASURED) as tracker:
        for z_seed in range(FIRST_TABLE + 1):
            tracker.log_record(replace(SOURCE, z_seed=z_seed))
    assert len(table_of(tmp_path / "run")["data"]) == FIRST_TABLE


def test_an_image_is_encoded_once_for_all_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    encoded, enlarged = [], strips.enlarged
    monkeypatch.setattr(strips, "enlarged", lambda image: encoded.append(image) or enlarged(image))
    (tmp_path / "run").mkdir()
    with Tracker(config(), CONFIG, tmp_path / "run", "exp", measured=MEASURED) as tracker:
        for z_seed in range(FIRST_TABLE):
            tracker.log_record(replace(SOURCE, z_seed=z_seed))
        tracker.finish({}, {})
    assert len(list((tmp_path / "run").glob("wandb/*run-*/files/media/table/*.table.json"))) == 2
    assert len(encoded) == FIRST_TABLE


def test_shards_are_a_group_of_their_own_and_named(tmp_path: Path):
    shard = CONFIG | {"search": {"shard": "2/3"}, "run_seed": 1}
    with Tracker(config(), shard, tmp_path / "run", "exp", measured=MEASURED):
        pass
    (run,) = [entry["run"] for entry in log_of(tmp_path / "run") if entry["type"] == "run"]
    assert run["display_name"] == "mnist, mixing, psi 0.7, class center, run_seed 1, shard 2/3"
    assert run["run_group"] == "exp: mnist, mixing, psi 0.7, class center, run_seed 1, shards of 3"
    assert run["job_type"] == "shard"


def test_a_failed_job_is_marked(tmp_path: Path):
    with pytest.raises(RuntimeError), Tracker(config(), CONFIG, tmp_path / "run", "exp", measured=MEASURED):
        raise RuntimeError
    assert log_of(tmp_path / "run")[-1]["exit"]["exit_code"] == 1


def test_disabled_writes_nothing_and_does_not_import_wandb(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from latreg.config import TrackingConfig\n"
        "from latreg.tracking import Tracker\n"
        f"run = Path({str(tmp_path / 'run')!r})\n"
        f"with Tracker(TrackingConfig(mode='disabled'), {CONFIG}, run, 'exp', measured={{}}) as t:\n"
        "    t.finish({}, {})\n"
        "assert 'wandb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not (tmp_path / "run").exists()


def test_online_without_a_key_goes_on_offline(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    search(tmp_path / "run", config(mode="online"), [SOURCE])
    assert len(table_of(tmp_path / "run")["data"]) == 1
    (warning,) = warnings_of(caplog)
    assert "offline" in warning
    assert "no API key" in warning


def test_online_without_a_key_does_not_ask_at_a_terminal(tmp_path: Path):
    code = (
        "from pathlib import Path; from latreg.config import TrackingConfig; from latreg.tracking import Tracker\n"
        f"run = Path({str(tmp_path / 'run')!r})\n"
        f"with Tracker(TrackingConfig(mode='online'), {CONFIG}, run, 'exp', measured={{}}): pass"
    )
    ours, terminal = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code], stdin=terminal, stdout=terminal, stderr=terminal, check=True, timeout=30
    )
    os.close(terminal)
    os.close(ours)
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))


def test_online_without_a_server_goes_on_offline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    search(tmp_path / "run", config(mode="online"), [SOURCE])
    assert len(table_of(tmp_path / "run")["data"]) == 1
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))
    (warning,) = warnings_of(caplog)
    assert "offline" in warning
    assert "\n" not in warning


def test_a_server_that_dies_costs_nothing_but_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(wandb.Api, "_HTTP_TIMEOUT", 1, raising=False)  # 19 s, else
    monkeypatch.setattr(link, "INIT_TIMEOUT", 20.0)
    with ExitStack() as stack:
        with serving() as account:
            monkeypatch.setenv("WANDB_BASE_URL", account.url)
            tracker = stack.enter_context(
                Tracker(config(mode="online"), CONFIG, tmp_path / "run", "exp", measured=MEASURED)
            )
            tracker.log_record(SOURCE)
        tracker.log_record(PAIR)
        tracker.finish({"sources": 2}, {})

    assert list((tmp_path / "run" / "wandb").glob("run-*")), "it was online"
    (warning,) = warnings_of(caplog)
    assert "offline" in warning
    assert len(table_of(tmp_path / "run")["data"]) == 2
    points = [e["history"]["item"] for e in log_of(tmp_path / "run") if e["type"] == "history"]
    assert [p["search/queries"] for p in points if "search/queries" in p] == [7, 14]


def test_an_exception_while_logging_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def broken(*args: object) -> None:
        raise OSError("disk full\nand more")

    monkeypatch.setattr(wandb.Run, "log", broken)
    search(tmp_path / "run", config(), [SOURCE, PAIR])
    (warning,) = warnings_of(caplog)
    assert warning == "W&B failed (disk full); the run continues without tracking"
    assert wandb.run is None


def test_a_folder_that_cannot_be_written_costs_only_the_mirror(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "wandb").write_text("a file where the folder should be")
    with Tracker(config(), CONFIG, tmp_path, "exp", measured=MEASURED) as tracker:
        tracker.log_record(SOURCE)
    (warning,) = warnings_of(caplog)
    assert "continues without tracking" in warning


@pytest.mark.parametrize(
    ("truncation", "label"),
    [
        ({"mode": "none", "psi": 0.5, "center": "global", "cutoff": None}, "no truncation, global center"),
        ({"mode": "fixed", "psi": 0.5, "center": "class", "cutoff": 0}, "psi 0.5, class center (truncation.cutoff=0)"),
        ({"mode": "adaptive", "direction": "minimal", "center": "class"}, "minimal, class center"),
    ],
)
def test_truncation_in_words(truncation: dict, label: str):
    assert _cell_of(CONFIG | {"truncation": truncation}).setting == label


def test_flatten():
    assert flatten({"a": {"b": 1, "c": {"d": "x"}}, "e": None, "f": 0}) == {"a/b": 1, "a/c/d": "x", "f": 0}


def test_lightning_logger(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    with lightning_logger(config(), {"stage": "t"}, tmp_path / "run", "exp", x_axis="n_images") as logger:
        assert logger is not None
        logger.log_hyperparams({"lr": 0.1})
        logger.log_metrics({"n_images": 32.0, "loss": 1.0}, step=1)
        logger.log_image("samples", [np.zeros((8, 8, 3), np.uint8)])
        monkeypatch.setattr(wandb.Run, "log", lambda *args: 1 / 0)
        logger.log_metrics({"loss": 2.0}, step=2)
        logger.log_metrics({"loss": 3.0}, step=3)
    log = log_of(tmp_path / "run")
    losses = [e["history"]["item"]["loss"] for e in log if e["type"] == "history" and "loss" in e["history"]["item"]]
    assert losses == [1.0]
    assert "n_images" in [e["metric"].get("step_metric") for e in log if e["type"] == "metric"]
    assert list((tmp_path / "run").glob("wandb/*run-*/files/media/images/*.png"))
    assert len(warnings_of(caplog)) == 1


def test_lightning_logger_disabled(tmp_path: Path):
    with lightning_logger(config(mode="disabled"), {}, tmp_path / "run", "exp") as logger:
        assert logger is None
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("mode", ["offline", "online", "disabled"])
def test_configs(mode: str):
    assert composed([f"tracking={mode}"]).tracking.mode == mode


def test_the_variables_of_wandb_count_where_no_setting_does(monkeypatch: pytest.MonkeyPatch):
    variables = {"MODE": "disabled", "PROJECT": "mine", "ENTITY": "us", "NAME": "first", "RUN_GROUP": "night"}
    for name, value in (variables | {"TAGS": "a, b"}).items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    wanted = {"mode": "disabled", "project": "mine", "entity": "us", "name": "first", "group": "night"}
    wanted |= {"tags": ["a", "b"], "table_rows": 200}
    assert OmegaConf.to_container(composed([]).tracking, resolve=True) == wanted
    given = composed(["tracking=offline", "tracking.project=other", "tracking.tags=[c]"]).tracking
    assert (given.mode, given.project, list(given.tags), given.name) == ("offline", "other", ["c"], "first")


def test_what_people_said_is_a_run_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    folder = answered_study(tmp_path / "people")
    assert agreement.main([str(folder), "--wandb"]) == 0
    log = log_of(folder)
    (run,) = [entry["run"] for entry in log if entry["type"] == "run"]
    assert (run["project"], run["job_type"], run["display_name"]) == ("mine", "people", "mnist, people")
    summary = {k: v for e in log if e["type"] == "summary" for k, v in e["summary"]["update"].items()}
    assert (summary["judge/precision"], summary["faults_all/valid_rate"]) == (0.5, 0.5)
    tables = [json.loads(path.read_text()) for path in folder.glob("wandb/*run-*/files/media/table/people/*.json")]
    assert ["mixing, psi 0.7, class center", 2, 1, 0.5] in [row for table in tables for row in table["data"]]
