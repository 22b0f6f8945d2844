import json
from collections import Counter
from dataclasses import asdict

import pytest

from latreg.annotation.study import FAULT, FILE, LOST, REAL, SOURCE, image_path, make_study, read_study
from latreg.errors import LatregError
from tests.helpers.example_records import record
from tests.helpers.hostile import make_run


def test_a_study_holds_faults_and_what_they_stand_among(folder):
    study = read_study(folder)
    assert Counter(item.kind for item in study.items) == {FAULT: 20, SOURCE: 7, LOST: 7, REAL: 6}
    faults = Counter(item.label for item in study.items if item.kind == FAULT)
    assert set(faults.values()) == {2}, "of each class alike"
    assert all(image_path(folder, item.id).read_bytes().startswith(b"\x89PNG") for item in study.items)
    assert {item.robust for item in study.items if item.kind != FAULT} == {None}


def test_each_annotator_has_an_order_that_stays(folder):
    study = read_study(folder)
    ids = sorted(item.id for item in study.items)
    assert sorted(study.order("Ann")) == ids
    assert study.order("Ann") == read_study(folder).order("Ann") != study.order("Bob")


def test_the_same_seed_draws_the_same_study(tmp_path, run, folder):
    again = make_study([run], tmp_path / "again", 40, seed=0)
    assert asdict(again) == asdict(read_study(folder))
    assert asdict(make_study([run], tmp_path / "other", 40, seed=1)) != asdict(again)


def test_runs_that_make_no_study(tmp_path, run):
    empty = make_run(tmp_path / "empty", [record(label=3)])
    other = make_run(tmp_path / "other", None, "dataset=fashion_mnist")
    for runs, message in (
        ([empty], "expected valid faults in"),
        ([run, other], "must be of one data set, got mnist and fashion_mnist"),
        ([tmp_path / "none"], "expected the folder of a run"),
    ):
        with pytest.raises(LatregError, match=message):
            make_study(runs, tmp_path / "study", 40, seed=0)
    with pytest.raises(LatregError, match="new or empty folder"):
        make_study([run], run, 40, seed=0)


@pytest.mark.parametrize(
    "change",
    [
        {"items": [{"id": "../x", "kind": FAULT, "label": 3}]},
        {"items": [{"id": "0000", "kind": FAULT, "label": 10}]},
        {"items": [{"id": "0000", "kind": "odd", "label": 1}]},
        {"items": [{"id": "0000"}]},
        {"items": 3},
        {"class_names": 3},
    ],
)
def test_a_damaged_study_is_one_sentence(folder, change):
    content = json.loads((folder / FILE).read_text()) | change
    (folder / FILE).write_text(json.dumps(content))
    with pytest.raises(LatregError):
        read_study(folder)
