"""Verdicts on studies whose answers are known."""

import pytest

from latreg.report import claims
from tests.helpers.example_records import change
from tests.helpers.studies import make_run, make_study, read, with_faults


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    return claims.evaluate(read(make_study(tmp_path_factory.mktemp("study"))))


def verdicts(answers):
    return {claim.number: claim.verdict for claim in answers}


def test_verdicts_of_a_study_that_agrees_with_the_claims(answered):
    found = verdicts(answered[0])
    assert found == {1: "confirmed", 2: "undecided", 3: "confirmed", 4: "confirmed", 5: "confirmed", 6: "confirmed"}


def test_a_primary_comparison_says_everything(answered):
    (answer,) = answered[0][0].datasets
    (row,) = answer.primary
    names = [f"{strategy}, no truncation, global center" for strategy in ("mixing", "random")]
    assert [row.first.name, row.second.name] == names
    assert row.n_first == row.n_second == 60
    assert (row.value_first, row.value_second) == pytest.approx((20 / 60, 1 / 60))
    assert row.effect == pytest.approx(19 / 60)
    assert row.low < row.effect < row.high
    assert row.a12 == pytest.approx(0.5 + 19 / 120)
    assert row.p == row.p_holm == pytest.approx(2 * 0.5**19)  # McNemar: all 19 pairs that differ go one way


def test_holm_is_over_the_primary_comparisons_of_a_claim(answered):
    primary = [row for row in answered[1] if row.claim == 4 and row.primary]
    assert {row.family for row in primary} == {len(primary)}
    assert max(row.p_holm for row in primary) <= min(1, len(primary) * max(row.p for row in primary))


def test_diversity_needs_two_faults_each(answered):
    assert answered[0][1].datasets[0].primary == []


def test_the_opposite_refutes(tmp_path):
    make_run(tmp_path / "m", with_faults(60, 1, 20), "mixing")
    make_run(tmp_path / "r", with_faults(60, 30), "random")
    make_run(tmp_path / "c", with_faults(60, 30), "random", center="class")
    for psi, faults in ((0.6, 5), (0.9, 40)):
        make_run(tmp_path / str(psi), with_faults(60, faults), "mixing", psi)
    make_run(tmp_path / "a", with_faults(60, 10), "mixing", "minimal")
    found = verdicts(claims.evaluate(read(tmp_path))[0])
    assert found == {1: "refuted", 2: "undecided", 3: "refuted", 4: "refuted", 5: "refuted", 6: "undecided"}


def test_data_sets_that_disagree_leave_it_undecided(tmp_path):
    for dataset, counts in (("mnist", (30, 2)), ("cifar10", (2, 30))):
        for strategy, faults in zip(("mixing", "random"), counts, strict=True):
            make_run(tmp_path / dataset / strategy, with_faults(60, faults), strategy, dataset=dataset)
    claim = claims.evaluate(read(tmp_path))[0][0]
    assert [answer.verdict for answer in claim.datasets] == ["confirmed", "refuted"]
    assert claim.verdict == "undecided"


def test_one_run_decides_nothing(tmp_path):
    make_run(tmp_path / "a", with_faults(9, 3))
    answers, comparisons = claims.evaluate(read(tmp_path))
    assert set(verdicts(answers).values()) == {"undecided"}
    assert comparisons == []


def test_a_label_that_nobody_judged_is_not_compared(tmp_path):
    for center in ("global", "class"):
        for strategy in ("mixing", "random"):
            flips = [change(row, label_kept=None, judge_votes=None) for row in with_faults(60, 5, 25)]
            make_run(tmp_path / center / strategy, flips, strategy, center=center)
    answers, comparisons = claims.evaluate(read(tmp_path))
    assert not {claims.KEPT, claims.DRIFTED} & {row.measure for row in comparisons}
    assert {claims.VALID, claims.FLIPPED} <= {row.measure for row in comparisons}
    assert answers[5].datasets[0].primary == []


def test_drift_that_stays_refutes_the_artefact(tmp_path):
    for center, lost in (("global", 40), ("class", 28)):
        make_run(tmp_path / center, with_faults(60, 0, lost), "random", center=center)
    assert verdicts(claims.evaluate(read(tmp_path))[0])[6] == "refuted"
