"""A study goes to Label Studio, and the answers that it exports come back."""

import base64
import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from latreg import agreement, export
from latreg.annotation.answers import Answer, read_all
from latreg.annotation.study import FAULT, image_path, read_study


@pytest.fixture
def study(run, tmp_path):
    """Of a run, as `latreg.export` makes it."""
    assert export.main([str(run), "--format", "labelstudio", "-o", str(tmp_path / "out"), "--pictures", "20"]) == 0
    return tmp_path / "out"


def said(item, named="3", plausible="yes", sure=2, user=1, **changes):
    """A task as Label Studio exports it."""
    values = {"class": ("choices", [named]), "plausible": ("choices", [plausible]), "sure": ("rating", sure)}
    result = [
        {"from_name": name, "to_name": "image", "type": kind, "value": {kind: value}}
        for name, (kind, value) in values.items()
    ]
    annotation = {"id": 7, "completed_by": user, "was_cancelled": False, "result": result} | changes
    return {"id": 1, "data": {"picture": item, "image": "data:"}, "annotations": [annotation], "predictions": []}


def exported(folder, *tasks):
    (folder / "result.json").write_text(json.dumps(tasks))
    return folder / "result.json"


def agree(study, result):
    return agreement.main([str(study), "--labelstudio", str(result)])


def test_tasks_show_the_pictures_enlarged_and_tell_nothing(study):
    tasks = json.loads((study / "labelstudio.json").read_text())
    known = read_study(study)
    assert [task["data"]["picture"] for task in tasks] == [item.id for item in known.items]
    assert {key for task in tasks for key in task["data"]} == {"picture", "image"}
    png = base64.b64decode(tasks[0]["data"]["image"].removeprefix("data:image/png;base64,"))
    shown, kept = np.asarray(Image.open(io.BytesIO(png))), np.asarray(Image.open(image_path(study, known.items[0].id)))
    assert shown.shape == (320, 320)
    assert np.array_equal(shown[::10, ::10], kept)


def test_the_interface_asks_what_the_page_asks(study):
    view = ElementTree.parse(study / "labelstudio.xml").getroot()
    choices = {of.get("name"): [c.get("alias") for c in of] for of in view.iter("Choices")}
    assert choices == {"class": [*map(str, range(10)), "none"], "plausible": ["yes", "no"]}
    assert [c.get("hotkey") for c in view.iter("Choice")][:11] == [*"0123456789", "n"]
    assert view.find("Rating").get("maxRating") == "3"
    assert view.find("Image").get("value") == "$image"


def test_a_study_that_is_there_is_written_too(folder, tmp_path, capfd):
    assert export.main([str(folder), "--format", "labelstudio", "-o", str(tmp_path / "tasks")]) == 0
    assert {path.name for path in (tmp_path / "tasks").iterdir()} == {"labelstudio.json", "labelstudio.xml"}
    assert f"python -m latreg.agreement {folder} --labelstudio" in capfd.readouterr().out


def test_answers_come_back(study, tmp_path, capfd):
    fault, other = [item for item in read_study(study).items if item.kind == FAULT][:2]
    result = exported(
        tmp_path,
        said(fault.id, str(fault.label), sure=3),
        said(other.id, "none", "no", user={"id": 2, "email": "ann@example.org"}),
        said(other.id, was_cancelled=True),
    )
    assert agree(study, result) == 0
    assert "2 answers are new or changed" in capfd.readouterr().out
    assert read_all(study) == {
        "ann@example.org": {other.id: Answer(other.id, None, False, 2)},
        "labelstudio-1": {fault.id: Answer(fault.id, fault.label, True, 3)},
    }
    assert json.loads((study / "agreement.json").read_text())["cells"]["all"]["valid"] == 1
    assert agree(study, result) == 0
    assert "0 answers are new or changed" in capfd.readouterr().out


def test_other_files_are_one_sentence(study, tmp_path, capfd):
    for task, message in (
        (said("9999"), "expected answers to the pictures of the study in .*, got picture '9999'"),
        (said("0000", "10"), "there is no class 10 in the study"),
        (said("0000", sure=4), "there is no certainty 4"),
        (said("0000", result=[]), "there is no 'class'"),
        (said("0000", user={"email": "../x"}), "the name of an annotator must be a plain name"),
        ({"picture": "0000", "class": "3"}, "in the format JSON of Label Studio, but there is no 'data'"),  # JSON-MIN
    ):
        assert agree(study, exported(tmp_path, task)) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert re.search(message, line)
    assert agree(study, exported(tmp_path, said("0000"), said("9999"))) == 2
    assert not (study / "answers").exists()
