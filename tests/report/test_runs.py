"""Which runs are read, and how they are told apart."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from latreg.errors import LatregError
from latreg.interfaces import CHOSEN_FROM
from latreg.report.aggregate import cell_rows
from latreg.report.runs import find_runs, read_study
from latreg.runs.folder import read_config
from tests.helpers.example_records import record
from tests.helpers.studies import make_run, make_study, read, sources, with_faults


def test_runs_are_found_at_any_depth_once_and_in_natural_order(tmp_path):
    for name in ("sweep/10", "sweep/9", "deep/er/sweep/0"):
        make_run(tmp_path / name, sources(3))
    found = find_runs([tmp_path / "sweep", tmp_path, tmp_path / "sweep" / "9"])
    assert [folder.relative_to(tmp_path).as_posix() for folder in found] == ["sweep/9", "sweep/10", "deep/er/sweep/0"]


def test_cells_are_those_of_the_configuration(tmp_path):
    make_run(tmp_path / "0", sources(3), "random", "none", "class")
    make_run(tmp_path / "1", sources(3), "random", 0.7)
    make_run(tmp_path / "2", sources(3), "sampling", "minimal", dataset="cifar10")
    cells = [(c.dataset, c.strategy, c.truncation, c.psi, c.center, c.variant) for c in read(tmp_path).cells]
    assert cells == [
        ("mnist", "random", "fixed", 0.7, "global", ""),
        ("mnist", "random", "none", 1.0, "class", ""),
        ("cifar10", "sampling", "minimal", None, "global", ""),
    ]


def test_an_unfinished_run_and_a_training_are_left_out_and_named(tmp_path):
    make_run(tmp_path / "good", sources(3))
    make_run(tmp_path / "bad", sources(3), state="running")
    make_run(tmp_path / "training", sources(3), stage="train_classifier")
    study = read(tmp_path)
    assert len(study.runs) == 1
    notes = " ".join(study.notes)
    assert "bad is not finished (its state is running)" in notes
    assert "training is no search but a train_classifier" in notes


def test_nothing_but_unfinished_runs_is_an_error_that_names_them(tmp_path):
    make_run(tmp_path / "bad", sources(3), state="failed")
    with pytest.raises(LatregError, match=r"expected finished searches in .*bad is not finished"):
        read(tmp_path)


def test_no_runs_at_all(tmp_path):
    with pytest.raises(LatregError, match="but there are no runs at all"):
        read(tmp_path)
    with pytest.raises(LatregError, match="which is not a folder"):
        read_study([tmp_path / "missing"])


def test_records_of_another_version_are_refused_by_name(tmp_path):
    make_run(tmp_path / "new", sources(3))
    old = make_run(tmp_path / "old", sources(3)) / "records" / "part-00000.parquet"
    table = pq.read_table(old)
    metadata = table.schema.metadata | {b"latreg_records_version": b"0"}
    pq.write_table(table.replace_schema_metadata(metadata), old)
    with pytest.raises(LatregError, match=r"expected records of version \d+ .*old.*got version 0"):
        read(tmp_path)


def test_shards_are_pooled_and_a_source_that_is_there_twice_is_refused(tmp_path):
    rows = with_faults(12, 2)
    make_run(tmp_path / "a", rows[:6], search={"shard": "1/2"})
    make_run(tmp_path / "b", rows[6:], search={"shard": "2/2"})
    (pooled,) = read(tmp_path).cells.values()
    assert len(pooled) == 12
    make_run(tmp_path / "c", rows[:1])
    with pytest.raises(LatregError, match=r"class 0, z_seed 0 is in .*give one of them"):
        read(tmp_path)


def test_a_source_that_two_runs_chose_counts_once(tmp_path):
    """Where a run begins to choose depends on its own first z_seed."""

    def found(first, chosen):
        drawn = [replace(r, z_seed=r.z_seed + first) for r in sources(6)]
        return drawn + [replace(drawn[0], z_seed=z, queries=first) for z in chosen]

    both, one = CHOSEN_FROM + 300, CHOSEN_FROM + 100
    make_run(tmp_path / "a", found(0, [one, both]), search={"first_z_seed": 0, "uncertain_per_class": 2})
    make_run(tmp_path / "b", found(200, [both]), search={"first_z_seed": 200, "uncertain_per_class": 2})
    make_run(tmp_path / "c", found(one, []), search={"first_z_seed": one})
    study = read(tmp_path)
    (drawn,), (chosen,) = study.cells.values(), study.chosen.values()
    assert len(drawn) == 18
    assert (chosen.z_seed.tolist(), chosen.queries.tolist()) == ([one, both], [0, 0])


def test_runs_that_differ_in_another_setting_are_variants_with_a_note(tmp_path):
    make_run(tmp_path / "a", sources(6))
    make_run(tmp_path / "b", sources(6), search={"max_queries_per_source": 200})
    make_run(tmp_path / "c", sources(6), "random")
    study = read(tmp_path)
    variants = [cell.variant for cell in study.cells]
    assert variants == ["", "search.max_queries_per_source=200", "search.max_queries_per_source=50"]
    assert "Runs of mnist differ in search.max_queries_per_source (200, 50): compare with care." in study.notes


def repeated(folder, run_seed, stride=None):
    """A run with another run_seed; of an older one the stride is None."""
    first = run_seed * (stride or 0)
    chosen = record(z_seed=first + CHOSEN_FROM + 5)
    rows = [replace(r, z_seed=r.z_seed + first, run_seed=run_seed) for r in sources(6)]
    search = {"uncertain_per_class": 1} | ({} if stride is None else {"z_seed_stride": stride})
    run = make_run(folder, [*rows, chosen], search=search)
    config = read_config(run) | {"run_seed": run_seed}
    config["strategy"]["run_seed"] = run_seed
    OmegaConf.save(config, run / "config.yaml")


def test_repetitions_are_pooled_and_counted(tmp_path):
    for run_seed in (0, 1, 5):
        repeated(tmp_path / str(run_seed), run_seed, 2**25)
    study = read(tmp_path)
    ((cell, rows),) = study.cells.items()
    assert (cell.variant, len(rows), len(study.chosen[cell])) == ("", 18, 3)
    assert study.repetitions(cell) == [0, 1, 5]
    assert "Runs of mnist that differ only in run_seed (0, 1, 5) are pooled, in 1 of its cells." in study.notes
    assert {row.numbers["repetitions"] for row in cell_rows(study)} == {3}


@pytest.mark.parametrize("stride", [None, 0])
def test_run_seeds_that_share_sources_are_no_repetitions(tmp_path, stride):
    repeated(tmp_path / "0", 0)
    repeated(tmp_path / "1", 1, stride)
    study = read(tmp_path)
    assert [(cell.variant, len(rows)) for cell, rows in study.cells.items()] == [("run_seed=1", 6), ("run_seed=any", 6)]
    assert [study.repetitions(cell) for cell in study.cells] == [[1], [0]]


def test_a_recipe_beside_the_weights_makes_no_variant(tmp_path):
    for name, network in (("a", "resnet"), ("b", "airbench")):
        run = make_run(tmp_path / name, sources(6)[:3] if name == "a" else sources(6)[3:])
        config = read_config(run) | {"classifier": {"weights": "zoo:cifar10_sut", "network": network}}
        OmegaConf.save(config, run / "config.yaml")
    study = read(tmp_path)
    assert ([cell.variant for cell in study.cells], study.notes) == ([""], [])


def test_other_weights_and_other_sources_are_noted(tmp_path):
    make_run(tmp_path / "a", sources(6))
    make_run(tmp_path / "b", sources(3), "random", weights={"sut": "t" * 64})
    notes = " ".join(read(tmp_path).notes)
    assert "Runs of mnist differ in weights.sut" in notes
    assert "Cells of mnist have different sources" in notes


def test_a_study_of_equal_settings_has_no_notes(tmp_path):
    assert list(read(make_study(tmp_path, 12 * 5)).notes) == []


def test_pairs_have_the_same_sources(tmp_path):
    make_run(tmp_path / "a", sources(9)[::-1])
    make_run(tmp_path / "b", sources(6), "random")
    first, second = read(tmp_path).cells.values()
    paired = first.paired(second)
    assert paired[0].sources() == paired[1].sources() == sorted(first.sources())
    assert len(paired[0]) == 6


def test_a_damaged_metrics_file_is_named(tmp_path):
    run = make_run(tmp_path / "a", sources(3))
    (run / "metrics.json").write_text(json.dumps({})[:1])
    with pytest.raises(LatregError, match=r"expected the metrics\.json of a finished search"):
        read(tmp_path)
