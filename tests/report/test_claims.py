"""Verdicts on studies whose answers are known."""

from dataclasses import replace
from functools import partial

import pytest

from latreg.report import claims
from tests.helpers.example_records import change
from tests.helpers.studies import make_run, make_study, read, with_faults

spread_faults = partial(with_faults, spread=True)


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    return claims.evaluate(read(make_study(tmp_path_factory.mktemp("study"))))


def verdicts(answers):
    return {claim.number: claim.verdict for claim in answers}


def test_verdicts_of_a_study_that_agrees_with_the_claims(answered):
    found = verdicts(answered[0])
    assert found == {number: "undecided" if number in (2, 5) else "confirmed" for number in range(1, 8)}


def test_a_primary_comparison_says_everything(answered):
    (answer,) = answered[0][0].datasets
    (row,) = answer.primary
    names = [f"{strategy}, no truncation, global center" for strategy in ("mixing", "random")]
    assert [row.first.name, row.second.name] == names
    assert row.n_first == row.n_second == 60
    assert row.measure == "robust faults per 1,000 queries"
    assert row.value_first == pytest.approx(1000 * 20 / (60 * 10 + 24 * 10))  # 24 flips were tried with noise
    assert row.value_second == pytest.approx(1000 * 1 / (60 * 3 + 26 * 10))
    assert row.effect == row.value_first - row.value_second
    assert row.low < row.effect < row.high
    assert row.p == row.p_holm < 0.01
    assert row.family == 1


def test_every_notion_of_a_fault_is_compared(answered):
    (row,) = answered[0][0].datasets[0].primary
    beside = [other for other in answered[1] if (other.claim, other.first, other.second) == (1, row.first, row.second)]
    measures = {other.measure for other in beside if other.stratum == "all"}
    assert {f"{fault} per source" for fault in ("flips", "valid faults", "robust faults")} <= measures
    per_source = next(other for other in beside if other.measure == "valid faults per source")
    assert per_source.effect == pytest.approx(19 / 60)
    assert per_source.a12 == pytest.approx(0.5 + 19 / 120)


def test_holm_is_over_the_primary_comparisons_of_a_claim_on_a_data_set(tmp_path):
    for dataset in ("mnist", "cifar10"):
        for psi in (0.6, 0.8, 1.2):
            make_run(tmp_path / dataset / str(psi), spread_faults(60, 20), "mixing", psi, dataset=dataset)
    rows = [row for row in claims.evaluate(read(tmp_path))[1] if row.claim == 4]
    assert {row.family for row in rows if row.primary} == {2}
    others = [row for row in rows if not row.primary]
    assert {row.family for row in others} == {len(others)}


def test_what_is_not_tested_is_of_no_family(answered):
    (first, *_) = answered[1]
    rows = claims._corrected([replace(first, primary=False, p=p) for p in (0.01, None, 0.02)])
    assert [(row.family, row.p_holm) for row in rows] == [(2, 0.02), (0, None), (2, 0.02)]


def test_diversity_needs_two_faults_each(answered):
    assert answered[0][1].datasets[0].primary == []


def test_the_opposite_refutes(tmp_path):
    make_run(tmp_path / "m", spread_faults(60, 1, 20), "mixing")
    make_run(tmp_path / "r", spread_faults(60, 30), "random")
    make_run(tmp_path / "c", spread_faults(60, 30), "random", center="class")
    for psi, faults in ((0.6, 5), (0.9, 40)):
        make_run(tmp_path / str(psi), spread_faults(60, faults), "mixing", psi)
    make_run(tmp_path / "a", spread_faults(60, 10), "mixing", "minimal")
    found = verdicts(claims.evaluate(read(tmp_path))[0])
    assert found == {number: "undecided" if number in (2, 5, 6) else "refuted" for number in range(1, 8)}


def test_data_sets_that_disagree_leave_it_undecided(tmp_path):
    for dataset, counts in (("mnist", (30, 2)), ("cifar10", (2, 30))):
        for strategy, faults in zip(("mixing", "random"), counts, strict=True):
            make_run(tmp_path / dataset / strategy, spread_faults(60, faults), strategy, dataset=dataset)
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
            flips = [change(row, label_kept=None, judge_votes=None, pairs=()) for row in spread_faults(60, 5, 25)]
            make_run(tmp_path / center / strategy, flips, strategy, center=center)
    answers, comparisons = claims.evaluate(read(tmp_path))
    measures = {row.measure for row in comparisons}
    assert not {claims.DRIFTED.name, claims.KEPT_FIRST.name, "share of flips: label kept"} & measures
    assert {"valid faults per source", "flips per source"} <= measures
    assert answers[5].datasets[0].primary == []


def test_drift_that_stays_refutes_the_artefact(tmp_path):
    for center, lost in (("global", 45), ("class", 24)):
        make_run(tmp_path / center, spread_faults(60, 0, lost), "random", center=center)
    assert verdicts(claims.evaluate(read(tmp_path))[0])[6] == "refuted"
