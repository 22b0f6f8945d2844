"""A classifier that has no part in gates and search says how many of its faults it keeps."""

from dataclasses import replace

import numpy as np
import pytest

from latreg.config import ValidityConfig
from latreg.errors import LatregError
from latreg.interfaces import Appraisal, Evaluation, Proposal
from latreg.measures.metrics import summarize
from latreg.report import aggregate
from latreg.validity.gates import Gates
from latreg.validity.judge import Judge, divided
from tests.helpers.example_records import FLAGS, pair, record
from tests.validity.test_gates import Brightness

SETTINGS = {"judge": ["a", "b"], "held_out": 1}


def gates(threshold, **settings):
    config = ValidityConfig(**SETTINGS | {"gates": ["label_kept"]} | settings)
    return Gates(config, Judge([Brightness(0.4)]), held_out=Judge([Brightness(threshold)]))


def verdict(threshold, level=128):
    image = Evaluation(Proposal(1.0), 1, np.full((1, 32, 32), level, np.uint8), np.array([0.4, 0.6], np.float32))
    (found,) = gates(threshold).appraise([Appraisal(image, image)])
    return found


@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_what_it_says_is_measured_and_decides_nothing(threshold):
    found = verdict(threshold)
    assert found.valid
    assert found.measured["held_out"] is (threshold < 0.5)
    assert (found.measured["held_out_confidence"] > 0.5) is (threshold < 0.5)
    assert found.measured["judge_votes"] == 1


def test_it_can_be_no_gate():
    with pytest.raises(LatregError, match=r"validity\.gates must be of screened, .*label_kept, got held_out"):
        gates(0.5, gates=["label_kept", "held_out"])


@pytest.mark.parametrize(
    ("names", "held_out", "judging", "out"),
    [("abc", 1, "ab", "c"), ("abc", 0, "abc", ""), ("abc", 5, "a", "bc"), ("a", 1, "a", ""), ("", 1, "", "")],
)
def test_the_last_members_are_held_out_and_one_is_left(names, held_out, judging, out):
    assert divided(list(names), held_out) == (list(judging), list(out))


def test_without_one_there_are_no_such_columns():
    columns = Gates(ValidityConfig(gates=[], judge=["a"], held_out=1)).columns
    assert not [name for name in columns if name.startswith("held_out")]


def test_the_share_of_faults_that_it_keeps():
    keeps = [True, True, False, True]
    found = [pair(z_seed=i, measured={"held_out": kept}) for i, kept in enumerate(keeps)]
    found[3] = replace(found[3], severe_image=found[3].first_image, severe_measured={"held_out": False})
    found[2] = replace(found[2], robust_fault=False)
    flip = pair(valid_fault=False, z_seed=9, measured={"held_out": False})
    numbers = summarize([*found, flip, record()], [*FLAGS, "held_out"])
    assert (numbers["held_out"], numbers["held_out_rate_of_valid"]) == (3, 0.75)
    assert numbers["held_out_rate_of_robust"] == pytest.approx(2 / 3)
    assert summarize([pair()], FLAGS)["held_out_rate_of_valid"] is None


def test_a_report_says_it_and_does_not_count_it_as_a_gate(tmp_path):
    from tests.helpers import studies

    rows = studies.with_faults(12, 4, 2)
    rows = [replace(r, measured={**r.measured, "held_out": i % 2 == 0}) if r.flipped else r for i, r in enumerate(rows)]
    kinds = {**studies.MEASURED, "held_out_confidence": float, "held_out": bool}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies, "MEASURED", kinds)
        studies.make_run(tmp_path / "a", rows)
    row = next(row.numbers for row in aggregate.cell_rows(studies.read(tmp_path)) if row.stratum == "all")
    assert (row["held_out_rate_of_valid"], row["held_out_rate_of_robust"]) == (0.5, 0.5)
    assert row["all_gates"] == row["valid_faults"] == 4
