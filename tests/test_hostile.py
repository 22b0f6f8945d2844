"""Folders of other people: what is in them is read right or refused in one sentence, and runs nothing."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import EpsImagePlugin

from latreg import export, merge, replay, retest
from latreg.data.raster import MAX_SIDE, opened
from latreg.errors import LatregError
from latreg.report import __main__ as report
from latreg.report import results
from tests.helpers.hostile import EPS, change_rows, encoded, make_run, png_of
from tests.helpers.studies import make_run as make_small_run
from tests.helpers.studies import with_faults


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("sound") / "run")


@pytest.fixture
def run(sound, tmp_path):
    return Path(shutil.copytree(sound, tmp_path / "run"))


def outcome(command, run, out, capfd):
    """What one of the commands says to a run: its exit code and the lines of stderr."""
    capfd.readouterr()
    code = {
        "export": lambda: export.main([str(run), "-o", str(out)]),
        "merge": lambda: merge.main([str(run), "-o", str(out)]),
        "report": lambda: report.main([str(run), "-o", str(out)]),
        "replay": lambda: replay.main([str(run)]),
        "retest": lambda: retest.main([str(run), "classifier=cnn", "device=cpu", "classifier.probe_images=0"]),
    }[command]()
    return code, [line for line in capfd.readouterr().err.splitlines() if line]


COMMANDS = ("export", "merge", "report", "replay", "retest")


# ---- pictures


@pytest.fixture
def no_ghostscript(monkeypatch):
    """Fails where Pillow would start it, installed or not."""

    def started(*_, **__):
        raise AssertionError("a picture started another program")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    monkeypatch.setattr("subprocess.check_call", started)


PICTURES = {
    "a program": (EPS, "none of PNG, or is damaged"),
    "another format": (encoded("BMP"), "none of PNG, or is damaged"),
    "billions of pixels": (png_of(2**31 - 1, 2**31 - 1), "must have at most 4096x4096 pixels, got more"),
    "a bomb below Pillow's limit": (png_of(13_000, 13_000), "must have at most 4096x4096 pixels, got 13000x13000"),
    "a wide one": (png_of(2**31 - 1, 1), "must have at most 4096x4096 pixels, got"),
    "another size than the run's": (encoded("PNG", 64), "must have the shape (1, 32, 32), got the shape (1, 64, 64)"),
    "another mode": (encoded("PNG", mode="RGBA"), "must have the shape (1, 32, 32), got the shape (4, 32, 32)"),
    "cut": (encoded("PNG")[:-30], "cannot be read as an image"),
    "nothing": (b"", "cannot be read as an image"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_of_records(kind, run, tmp_path, capfd, no_ghostscript):
    content, message = PICTURES[kind]
    change_rows(run, first_image=content)
    for command in COMMANDS if kind == "a program" else ("export", "report"):
        code, lines = outcome(command, run, tmp_path / command, capfd)
        assert code == 2, command
        assert [message in line for line in lines] == [True], (command, lines)


@pytest.mark.parametrize("name", ["x.png", "x.eps", "x.jpg"])
def test_a_picture_of_a_folder_starts_no_program_whatever_it_is_called(name, tmp_path, no_ghostscript):
    (tmp_path / name).write_bytes(EPS)
    with pytest.raises(LatregError, match=r"is none of PNG, JPEG, .* or is damaged"), opened(tmp_path / name, name):
        pass


def test_the_largest_picture_is_read():
    with opened(encoded("PNG", MAX_SIDE), "one") as image:
        assert image.size == (MAX_SIDE, MAX_SIDE)


# ---- rows

ROWS = {
    "a class below zero": {"label": -1},
    "a class beyond the data set's": {"label": 10},
    "an answer beyond the data set's": {"predicted": 10**12},
    "a seed that is none": {"z_seed": -5},
    "a fault without an answer": {"predicted": None},
    "a fault without its image": {"first_image": None},
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_that_no_search_writes(kind, run, tmp_path, capfd):
    change_rows(run, **ROWS[kind])
    for command in ("export", "retest"):
        code, lines = outcome(command, run, tmp_path / command, capfd)
        assert (code, len(lines)) == (2, 1), (command, lines)


@pytest.mark.parametrize("values", [{"layers": [99]}, {"layers": [-1]}, {"first_probabilities": []}])
def test_recipes_that_no_search_writes(values, run, tmp_path, capfd):
    change_rows(run, **values)
    code, (line,) = outcome("replay", run, tmp_path, capfd)
    assert code == 2
    assert "expected pairs with images, answers, layers 0 .. 7" in line


# ---- settings


def swapped(old, new):
    return lambda text: text.replace(old, new).encode()


SETTINGS = {
    "binary": (lambda text: bytes(range(256)), "is damaged"),
    "Latin-1": (lambda text: text.encode() + "x: é\n".encode("latin-1"), "is damaged"),
    "empty": (lambda text: b"", "got none"),
    "a list": (lambda text: b"- 1\n- 2\n", "got none"),
    "a word": (lambda text: b"search\n", "config.yaml"),
    "nested a thousand deep": (lambda text: b"a: " + b"[" * 1000 + b"]" * 1000, "nested more than 20 deep"),
    "huge": (lambda text: b"a: " + b"x" * 2**21, "more than 1048576 bytes"),
    "aliases": (lambda text: b"a: &a [x, x]\nb: [*a, *a]\n", "has the alias *a"),
    "an environment variable": (swapped("name: mnist\n", "name: ${oc.env:HOME}\n"), "interpolation ${oc.env:HOME}"),
    "the time": (lambda text: text.encode() + b"x: ${now:%Y}\n", "has the interpolation ${now:%Y}"),
    "Hydra's": (lambda text: text.encode() + b"x: ${hydra:runtime.cwd}\n", "has the interpolation"),
    "a group that is a list": (swapped("truncation:\n  mode: none\n", "truncation: [1]\n#"), "config.yaml"),
    "a group that is a word": (lambda text: b"stage: search\ndataset: mnist\nstrategy: x\n", "is no group of settings"),
    "a tag that is a program": (lambda text: text.encode() + b"x: !!python/object/apply:os.getcwd []\n", "is damaged"),
    "a name that is a path": (swapped("name: mnist\n", "name: a/../../../OUTSIDE\n"), "must be a plain name"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings(kind, run, tmp_path, capfd):
    change, message = SETTINGS[kind]
    path = run / "config.yaml"
    path.write_bytes(change(path.read_text()))
    before = sorted(tmp_path.rglob("*"))
    for command in COMMANDS:
        code, lines = outcome(command, run, tmp_path / "out", capfd)
        assert code == 2, command
        assert [message in line for line in lines] == [True], (command, lines)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("target", ["os.getcwd", "tests.test_hostile.never", "latreg.search.random.RandomTruncation"])
def test_a_strategy_is_the_one_of_its_name(target, run, tmp_path, capfd):
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("latreg.search.mixing.Mixing", target))
    for command in ("replay", "retest", "merge", "export"):
        code, (line,) = outcome(command, run, tmp_path / "out", capfd)
        assert code == 2
        assert "strategy._target_ must be latreg.search.mixing.Mixing" in line
        assert target in line


def never(*arguments, **named):
    raise AssertionError("the code of somebody's run was called")


@pytest.mark.parametrize(
    "overrides",
    [
        ("generator=own", "generator._target_=tests.test_hostile.never"),
        ("classifier=callable", "classifier.function=tests.test_hostile.never"),
        ("classifier=torch", "classifier.network=tests.test_hostile.never", "classifier.weights=x"),
        ("classifier=export", "classifier.weights=x.pt2"),
    ],
)
def test_code_that_a_run_names_is_imported_only_where_it_is_trusted(overrides, tmp_path, capfd):
    run = make_run(tmp_path / "run", None, *overrides)
    code, (line,) = outcome("replay", run, tmp_path, capfd)
    assert code == 2
    assert f"({overrides[1]}): give --trust if you know it" in line


# ---- the other files

JSONS = {
    "binary": bytes(range(256)),
    "nested": b"[" * 100_000,
    "a list": b"[1]",
    "other types": b'{"state": "done", "seconds": "x", "weights": [1], "versions": 3, "command": {}, "strata": 1}',
    "nothing": b"",
}


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without figures, which take seconds, and are of the numbers that were read."""
    monkeypatch.setattr("latreg.report.figures.draw", lambda results: {})


@pytest.mark.parametrize("name", ["status.json", "metrics.json", "sources.json"])
@pytest.mark.parametrize("kind", JSONS)
def test_json_files(name, kind, run, tmp_path, capfd, undrawn):
    (run / name).write_bytes(JSONS[kind])
    for command in ("export", "merge", "report"):
        code, lines = outcome(command, run, tmp_path / command, capfd)
        assert code == 0 or (code == 2 and len(lines) == 1), (command, lines)


def test_a_damaged_status_does_not_keep_a_run_from_being_resumed(run, tmp_path):
    from latreg.runs.folder import RunFolder, read_config

    (run / "status.json").write_bytes(b"\xe9")
    RunFolder(run).begin(read_config(run) | {"resume": True})
    assert json.loads((run / "status.json").read_text())["state"] == "running"


# ---- names


@pytest.mark.parametrize("name", ["a/../../../OUTSIDE", "..", "", "a\\b", "x" * 300, "a\nb"])
def test_names_in_results_lead_nowhere(name, tmp_path, capfd):
    make_small_run(tmp_path / "runs" / "a", with_faults(9, 3))
    from latreg.report.gather import gather

    found = gather([tmp_path / "runs"])
    renamed = {name: found.study["datasets"]["mnist"]}
    results.write(found.__class__(**vars(found) | {"study": found.study | {"datasets": renamed}}), tmp_path / "results")
    before = sorted(os.walk(tmp_path))
    assert report.main(["--results", str(tmp_path / "results"), "-o", str(tmp_path / "out")]) == 2
    assert "dataset must be a plain name" in capfd.readouterr().err
    assert sorted(os.walk(tmp_path)) == before


@pytest.mark.parametrize(
    ("experiment", "setting"),
    [
        ("mnist_mixing", "dataset.name=../x"),
        ("mnist_mixing", "name=../../x"),
        ("mnist_classifier", "classifier.name=a/b"),  # a search takes the names of its weights
        ("mnist_generator", "generator.name='..'"),
    ],
)
def test_names_of_settings_lead_nowhere(experiment, setting, cli, tmp_path):
    code, _, err = cli(f"+experiment={experiment}", setting, f"hydra.run.dir={tmp_path / 'run'}")
    assert code != 0
    assert "must be a plain name" in f"{code} {err}"
