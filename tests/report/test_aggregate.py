"""The numbers of a cell, counted by hand."""

import json
from dataclasses import replace

import pytest

from latreg.interfaces import CHOSEN_FROM
from latreg.measures.metrics import summarize as run_metrics
from latreg.report import aggregate, comparisons
from tests.helpers.example_records import FLAGS, change
from tests.helpers.studies import make_run, read, sources, with_faults


def cells(folder):
    return {row.stratum: row.numbers for row in aggregate.cell_rows(read(folder))}


def test_a_cell_by_hand(tmp_path):
    rows = with_faults(20, 4, 1)
    rows[0] = change(rows[0], screened=False)
    make_run(tmp_path / "a", rows)
    row = cells(tmp_path)["all"]
    counts = ("sources", "accepted", "flipped", "screened", "label_kept", "all_gates", "valid_faults", "queries")
    assert [row[name] for name in counts] == [20, 20, 5, 4, 4, 3, 4, 200]
    assert row["valid_rate"] == 0.2
    assert row["valid_rate_low"] == pytest.approx(0.0807, abs=1e-4)  # Wilson of 4 in 20
    assert row["label_kept_share"] == 0.8
    assert (row["sources_per_valid_fault"], row["queries_per_valid_fault"]) == (5, 50)
    assert row["sources_per_valid_fault_low"] < 5 < row["sources_per_valid_fault_high"]
    assert row["margin_median"] == 0.2
    assert row["class_pairs"] == 3


def test_counts_are_those_of_the_run(tmp_path):
    rows = with_faults(20, 4, 1)
    make_run(tmp_path / "a", rows)
    row, expected = cells(tmp_path)["all"], run_metrics(rows, FLAGS)
    for name in ("sources", "accepted", "flipped", "screened", "in_distribution", "label_kept", "valid_faults"):
        assert row[name] == expected[name]
    assert row["queries_per_valid_fault"] == expected["queries_per_valid_fault"]
    assert row["margin_median"] == expected["boundary_margin_median"]
    assert row["diversity"] == pytest.approx(expected["diversity"])


def test_what_only_the_run_could_measure_is_carried_over(tmp_path):
    run = make_run(tmp_path / "a", with_faults(20, 4))
    found = json.loads((run / "metrics.json").read_text())
    numbers = {"judge_distance": 2.5, "judge_distance_ci95": [2.0, 3.0], "cells_reached": 3, "cells": 50, "groups": 4}
    nothing = dict.fromkeys(numbers) | {"cells_reached": 0, "cells": 50, "groups": 0}
    found |= numbers
    found["strata"]["confident"] |= nothing
    (run / "metrics.json").write_text(json.dumps(found))
    rows = cells(tmp_path)
    names = ("judge_distance", "judge_distance_low", "judge_distance_high", "cells_reached", "cells", "groups")
    assert [rows["all"][name] for name in names] == [2.5, 2.0, 3.0, 3, 50, 4]
    assert [rows["confident"][name] for name in names] == [None, None, None, 0, 50, 0]
    assert not any(name.endswith("_ci95") for name in rows["all"])


def test_robust_faults_are_counted_where_each_valid_one_was_tried(tmp_path):
    rows = with_faults(20, 4, 1)
    rows[0] = change(rows[0], robust_fault=False, stability=0.1, severe_margin=-0.05)
    rows[1] = change(rows[1], severe_margin=-0.25, walk_queries=6)
    make_run(tmp_path / "a", rows)
    row, expected = cells(tmp_path)["all"], run_metrics(rows, FLAGS)
    assert (row["robust_faults"], row["robust_rate"]) == (3, 0.15)
    assert row["sources_per_robust_fault"] == pytest.approx(20 / 3)
    assert row["queries_per_robust_fault"] == 250 / 3  # 50 with noise; the walk is part of the 200
    assert (row["stability_median"], row["severe_margin_median"]) == (0.5, -0.15)
    assert (row["walk_queries"], row["stability_queries"], row["appraisals"]) == (6, 50, 5)
    shared = ("robust_faults", "sources_per_robust_fault", "queries_per_robust_fault", "stability_median")
    assert [row[name] for name in shared] == [expected[name] for name in shared]
    assert expected["robust_rate_per_source"] == 0.15


@pytest.mark.parametrize("unknown", ["all", "one valid fault"])
def test_what_was_not_tried_is_not_called_robust(tmp_path, unknown):
    rows = with_faults(20, 4, 1)
    rows = [replace(r, robust_fault=None) if unknown == "all" or i == 0 else r for i, r in enumerate(rows)]
    make_run(tmp_path / "a", rows)
    row, expected = cells(tmp_path)["all"], run_metrics(rows, FLAGS)
    for name in ("robust_faults", "sources_per_robust_fault", "queries_per_robust_fault"):
        assert row[name] is expected[name] is None
    assert row["robust_rate"] is None
    assert row["valid_faults"] == 4
    assert read(tmp_path).notes == ["In 1 cells of mnist it was not measured which faults are robust."]


def test_strata_add_up(tmp_path):
    make_run(tmp_path / "a", with_faults(21, 5))
    rows = cells(tmp_path)
    for name in ("sources", "flipped", "valid_faults", "queries"):
        assert rows["all"][name] == rows["confident"][name] + rows["uncertain"][name]


def test_chosen_sources_are_a_stratum_of_their_own(tmp_path):
    chosen = [replace(r, z_seed=r.z_seed + CHOSEN_FROM) for r in with_faults(9, 4)]
    make_run(tmp_path / "a", with_faults(21, 5) + chosen)
    rows = cells(tmp_path)
    assert [(rows[name]["sources"], rows[name]["valid_faults"]) for name in ("all", "chosen")] == [(21, 5), (9, 4)]
    assert rows["all"]["sources"] == rows["confident"]["sources"] + rows["uncertain"]["sources"]
    make_run(tmp_path / "b", with_faults(21, 1) + chosen[:6], "random")
    study = read(tmp_path)
    compared = comparisons.compare(study, *study.cells, comparisons.PER_SOURCE["valid faults"], "chosen")
    assert (compared.n_first, compared.n_second) == (6, 6)


def test_the_totals_hold_chosen_sources_too(tmp_path):
    chosen = [replace(r, z_seed=r.z_seed + CHOSEN_FROM) for r in with_faults(9, 4)]
    make_run(tmp_path / "a", with_faults(21, 5) + chosen)
    make_run(tmp_path / "b", with_faults(21, 5), "random")
    totals = aggregate.study_summary(read(tmp_path))
    assert [totals[name] for name in ("sources", "chosen", "queries", "seconds")] == [51, 9, 510, 4]
    assert totals["datasets"]["mnist"]["sources"] == [21, 21]


def test_what_was_not_measured_is_none_and_no_gate(tmp_path):
    make_run(tmp_path / "a", with_faults(9, 3))
    row = cells(tmp_path)["all"]
    assert row["in_distribution"] is None
    assert row["in_distribution_share"] is None
    assert row["all_gates"] == 3


def test_a_validity_model_counts_where_it_is_there(tmp_path):
    rows = [change(row, in_distribution=row.z_seed == 0) for row in with_faults(9, 6)]
    make_run(tmp_path / "a", rows)
    row = cells(tmp_path)["all"]
    assert (row["in_distribution"], row["all_gates"]) == (3, 3)


def test_a_cell_without_faults_has_no_costs(tmp_path):
    make_run(tmp_path / "a", sources(6))
    row = cells(tmp_path)["all"]
    assert (row["valid_faults"], row["valid_rate"]) == (0, 0)
    for name in ("sources_per_valid_fault", "queries_per_valid_fault", "margin_median", "label_kept_share"):
        assert row[name] is None


def test_the_budget_curve_ends_with_everything(tmp_path):
    make_run(tmp_path / "a", with_faults(60, 7))
    curve = aggregate.budget_rows(read(tmp_path))
    assert (curve[0].queries, curve[0].valid_faults) == (0, 0)
    assert (curve[-1].sources, curve[-1].queries, curve[-1].valid_faults) == (60, 670, 7)  # 70 with noise
    assert len(curve) <= aggregate.CURVE_POINTS + 1


def test_the_class_matrix_counts_flips_and_valid_ones(tmp_path):
    make_run(tmp_path / "a", with_faults(12, 4, 2))
    rows = aggregate.class_rows(read(tmp_path))
    assert [(r.label, r.predicted, r.flipped, r.valid_faults) for r in rows] == [
        (0, 1, 2, 2),
        (1, 2, 2, 1),
        (2, 0, 2, 1),
    ]


def test_the_summary_names_no_place_on_this_machine(tmp_path):
    make_run(tmp_path / "a", sources(6))
    make_run(tmp_path / "b", sources(6), state="running")
    assert str(tmp_path) not in str(aggregate.study_summary(read(tmp_path)))
