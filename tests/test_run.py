"""The command line end to end on the shipped weights: what a user types, and what comes back."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from latreg import merge, replay
from latreg.runs.folder import read_config, read_status
from latreg.runs.records import measured_columns, read_records, write_part
from latreg.zoo.weights import load, read_card, resolve, save
from tests.helpers.small_generator import SMALL_GENERATOR

TINY = ("search.sources_per_class=1", "search.classes=[2,8]", "search.max_queries_per_source=30", "device=cpu")
SEARCHES = ["mnist_random", "mnist_mixing", "mnist_hunt", "mnist_sampling"]


def last_line(text):
    return text.strip().splitlines()[-1]


def every_search():
    """Each search with each truncation; five of the sixteen are not slow: each search and each truncation is there."""
    truncations = ["none", "fixed", "adaptive", "adaptive truncation.direction=minimal"]
    for i, experiment in enumerate(SEARCHES):
        for j, truncation in enumerate(truncations):
            marks = () if i == j or (experiment, truncation) == ("mnist_hunt", "none") else pytest.mark.slow
            yield pytest.param(experiment, truncation, marks=marks)


@pytest.mark.parametrize(("experiment", "truncation"), every_search())
def test_every_search_runs_and_replays(cli, experiment, truncation):
    choice, *changes = truncation.split()
    code, out, _ = cli(f"+experiment={experiment}", *TINY, f"truncation={choice}", *changes)
    assert code == 0
    folder = Path(last_line(out))
    assert folder.parts[-4:-2] == ("multirun", experiment)
    found = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "status.json", "metrics.json", "examples.png", "run.log", "records"} <= found
    status, metrics = (json.loads((folder / name).read_text()) for name in ("status.json", "metrics.json"))
    assert status["state"] == "done"
    assert metrics["sources"] == 2
    assert metrics["queries"] == sum(record.queries for record in read_records(folder))
    assert (metrics["cells"], metrics["strata"]["confident"]["cells"]) == (50, 50)  # of the shipped real images
    assert (metrics["judge_distance"] is None) == (metrics["valid_faults"] < 2)
    assert replay.main([str(folder)]) == 0


def test_a_multirun_gives_each_job_its_folder(cli, tmp_path):
    code, _, _ = cli("-m", "+experiment=mnist_sampling,mnist_random", *TINY)
    assert code == 0
    assert len(list(tmp_path.glob("multirun/*/*/*/metrics.json"))) == 2


def test_a_run_is_not_overwritten_but_taken_up(cli, tmp_path):
    command = ("+experiment=mnist_random", *TINY, "search.part_size=1", f"hydra.run.dir={tmp_path / 'run'}")
    assert cli(*command)[0] == 0
    whole = outcomes(tmp_path / "run")
    code, _, err = cli(*command)
    assert code == 1
    assert "already holds results" in err
    code, _, err = cli(*command, "resume=true", "truncation.center=class")
    assert code == 1
    assert "truncation.center was global and is now class" in err
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"

    (tmp_path / "run" / "records" / "part-00001.parquet").unlink()
    assert cli(*command, "resume=true")[0] == 0
    assert outcomes(tmp_path / "run") == whole


def test_a_run_that_names_a_recipe_is_taken_up_and_then_says_what_was_searched(cli, tmp_path):
    command = ("+experiment=mnist_sampling", *TINY, f"hydra.run.dir={tmp_path / 'run'}")
    assert cli(*command)[0] == 0
    path = tmp_path / "run" / "config.yaml"
    path.write_text(path.read_text().replace("name: mnist_sut", "name: cnn").replace("epochs: 0", "epochs: 8"))
    assert cli(*command, "resume=true", "classifier=judge_b", "classifier.weights=zoo:mnist_sut")[0] == 0
    assert read_config(tmp_path / "run")["classifier"]["name"] == "mnist_sut"


def test_two_processes_do_not_work_in_one_folder(cli, tmp_path):
    with FileLock(tmp_path / "run" / ".lock"):
        code, _, err = cli("+experiment=mnist_random", *TINY, f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 1
    assert f"another process is at work in {tmp_path / 'run'}" in err


def test_a_tampered_image_does_not_verify(cli, tmp_path, capfd):
    run = tmp_path / "run"
    everything = "strategy.layer_sets=[[0,1,2,3,4,5,6,7]]"  # the partner itself: a flip for certain
    assert cli("+experiment=mnist_mixing", *TINY, everything, f"hydra.run.dir={run}")[0] == 0
    found = list(read_records(run))
    pair = next(i for i, record in enumerate(found) if record.flipped)
    found[pair] = replace(found[pair], first_image=255 - found[pair].first_image)
    write_part(run, 0, found, measured_columns(run))
    assert replay.main([str(run)]) == 1
    assert "the first image differs by" in capfd.readouterr().out
    place = ("--label", str(found[pair].label), "--z-seed")
    assert replay.main([str(run), *place, str(found[pair].z_seed)]) == 1
    assert "verified 0 of 1\n" in capfd.readouterr().out
    assert replay.main([str(run), *place, "77"]) == 2
    assert "expected a pair of class" in capfd.readouterr().err


def test_replay_of_something_else_is_refused(tmp_path, capfd):
    assert replay.main([str(tmp_path)]) == 2
    assert "expected the folder of a run" in capfd.readouterr().err


BAD_INPUT = [
    ("truncation=fixed truncation.psi=2.5", "truncation.psi must be within 0 .. 2, got 2.5"),
    ("truncation=fixed truncation.psi=-0.1", "truncation.psi must be within 0 .. 2, got -0.1"),
    ("truncation.cutoff=9", "truncation.cutoff must be null or within 0 .. 8, got 9"),
    ("truncation.center=mean", "truncation.center must be class or global, got 'mean'"),
    ("truncation=adaptive truncation.direction=up", "truncation.direction must be salvage or minimal, got 'up'"),
    ("strategy=mixing strategy.layer_sets=[[8]]", "strategy.layer_sets must name layers 0 .. 7, got 8"),
    (
        "strategy=mixing strategy.until=bored",
        "strategy.until must be one of flipped, screened, valid, robust, got 'bored'",
    ),
    ("generator.weights=none.safetensors", "generator.weights must name an existing file, got none.safetensors"),
    ("classifier.weights=zoo:nothing", "classifier.weights must name an existing file, got zoo:nothing"),
    ("generator.weights=${classifier.weights}", "expected weights of a generator in"),
    ("dataset.class_names=[a,b]", "c_dim 2, got 10"),
    ("search.classes=[10]", "search.classes must be within 0 .. 9, got 10"),
    ("search.classes=[3,3]", "search.classes must name one or more classes, each once, got [3, 3]"),
    ("search.classes=[]", "search.classes must name one or more classes, each once, got []"),
    ("strategy=hunt search.severity_steps=0", "strategy.until=robust needs search.severity_steps of at least 1, got 0"),
    ("search.max_queries=0", "search.max_queries must be at least 1, got 0"),
    ("search.min_confidence=7", "search.min_confidence must be within 0 .. 1, got 7"),
    ("strategy=mixing strategy.partners=-3", "strategy.partners must be at least 1, got -3"),
    ("validity.judge=[zoo:nobody]", "validity.judge must name an existing file, got zoo:nobody"),
    ("search.chunk=-1", "search.chunk must be at least 1, got -1"),
    ("run_seed=-1", "run_seed must be at least 0, got -1"),
    ("run_seed=128", "run_seed must be at most 127 for a search, as sources are drawn from z_seeds below 2^32, "),
    ("truncation=salvage search.max_queries_per_source=2", "search.max_queries_per_source must be at least 10, what"),
    ("search.sources_per_class=0", "search.sources_per_class must be at least 1, got 0"),
    ("search.uncertain_per_class=-1", "search.uncertain_per_class must be at least 0, got -1"),
    ("search.shard=3/2", "search.shard must be k/n with k = 1 .. n, got '3/2'"),
    ("search.workers=0", "search.workers must be at least 1, got 0"),
    ("search.workers=2 search.max_queries=10", "search.max_queries needs search.workers=1, got 2 workers"),
    ("search.shard=1/2 search.max_queries=10", "search.max_queries needs search.shard=null, got the shard 1/2"),
    ("search.uncertain_per_class=2 search.max_queries=10", "search.max_queries needs search.uncertain_per_class=0, as"),
    ("stage=dance", "stage must be one of search,"),
    ("device=tpu", "device must be auto, cpu, cuda or cuda:<n>, got 'tpu'"),
    ("validity.gates=[pretty]", "validity.gates must be of screened, in_distribution, typical, label_kept, got pretty"),
    ("search.sourcs_per_class=1", "search.sourcs_per_class is no setting: did you mean search.sources_per_class"),
    (
        "strategy=luck",
        "strategy must be one of cma_me, genetic, gradient, hunt, mimicry, mixing, "
        "mixing_published, random, random_published, sampling, walk, got luck",
    ),
]


@pytest.mark.parametrize(("overrides", "message"), BAD_INPUT)
def test_bad_input_is_one_clear_error(cli, overrides, message, tmp_path):
    code, _, err = cli("+experiment=mnist_random", *TINY, f"hydra.run.dir={tmp_path / 'run'}", *overrides.split())
    assert code == 1
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "metrics.json").exists()
    status = tmp_path / "run" / "status.json"
    assert not status.exists() or json.loads(status.read_text())["state"] == "failed"


def test_a_damaged_weights_file_is_named(cli, tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(resolve("zoo:mnist_sut", "classifier").read_bytes()[:1000])
    code, _, err = cli("+experiment=mnist_random", *TINY, f"classifier.weights={damaged}")
    assert code == 1
    assert f"expected a safetensors file in {damaged}" in err


def test_a_classifier_worse_than_its_card_is_refused(cli, tmp_path):
    """Permuted classes: the likely mistake that no shape reveals."""
    shipped, path = resolve("zoo:mnist_sut", "classifier"), tmp_path / "sut.safetensors"
    state, description = load(shipped, "classifier")
    last = [name for name, tensor in state.items() if tensor.shape[:1] == (10,)]
    assert last
    save(path, state | {name: state[name].roll(1, 0) for name in last}, description, read_card(shipped), half=True)
    code, _, err = cli("+experiment=mnist_random", *TINY, f"classifier.weights={path}")
    assert code == 1
    assert "the classifier's card says 0.9961 of test images are classified right" in err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_one_sentence(cli, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, err = cli("+experiment=mnist_random", *TINY, f"hydra.run.dir={tmp_path / 'locked' / 'run'}")
    assert code == 1
    assert "Permission denied" in err


def test_a_generator_is_trained_taken_up_and_measured(cli, toy_mnist, tmp_path):
    run = tmp_path / "run"
    command = ("+experiment=mnist_generator", *SMALL_GENERATOR, "dataset.validation_size=10", f"hydra.run.dir={run}")
    code, out, err = cli(*command, "generator.training.total_images=24")
    assert code == 0, err
    weights = run / "mnist_stylegan2_small.safetensors"
    assert json.loads(weights.with_suffix(".json").read_text())["images_seen"] == 24
    assert cli(*command, "generator.training.total_images=32", "resume=true")[0] == 0
    assert json.loads(weights.with_suffix(".json").read_text())["images_seen"] == 32
    assert sorted(p.stem for p in (run / "samples").iterdir()) == ["000000016", "000000024", "000000032"]

    code, _, err = cli(*command, "resume=true", "generator.channel_max=4")
    assert code == 1
    assert "generator.channel_max was 8 and is now 4" in err

    code, out, err = cli(
        "+experiment=mnist_generator_card",
        f"generator.weights={weights}",
        "dataset.validation_size=10",
        "evaluation.samples=20",
        "evaluation.training_samples=40",
        "classifier.training.epochs=1",
        "classifier.training.batch_size=10",
    )
    assert code == 0, err
    scores = json.loads((Path(last_line(out)) / weights.with_suffix(".json").name).read_text())["scores"]
    assert 0 <= scores["judge_agreement_psi_1_class"] <= 1


def test_an_interrupted_search_keeps_what_it_found_and_goes_on(cli, tmp_path):
    """SIGTERM in the middle; resumed, the run ends with the records of an uninterrupted one."""
    command = [
        "+experiment=mnist_mixing",
        "search.sources_per_class=3",
        "search.max_queries_per_source=40",
        "device=cpu",
    ]
    command += ["search.classes=[3,4,8]", "search.concurrency=2", "classifier.probe_images=0"]
    cut = [sys.executable, "-m", "latreg.run", *command, "tracking=disabled", f"hydra.run.dir={tmp_path / 'cut'}"]
    process = subprocess.Popen(cut, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    status = tmp_path / "cut" / "status.json"
    while process.poll() is None and not (status.exists() and json.loads(status.read_text())["weights"]):
        time.sleep(0.1)
    time.sleep(0.5)
    process.terminate()
    _, err = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("it was over before the signal came")
    assert b"resume=true" in err
    assert json.loads((tmp_path / "cut" / "status.json").read_text())["state"] == "interrupted"

    assert cli(*command, f"hydra.run.dir={tmp_path / 'cut'}", "resume=true")[0] == 0
    assert cli(*command, f"hydra.run.dir={tmp_path / 'whole'}")[0] == 0
    cut, whole = (list(read_records(tmp_path / name)) for name in ("cut", "whole"))
    assert [outcome(record) for record in cut] == [outcome(record) for record in whole]


def outcome(record):
    """What must not depend on an interruption."""
    return (
        record.label,
        record.z_seed,
        record.queries,
        record.flipped,
        record.predicted,
        record.layers,
        record.psi_first,
    )


def outcomes(folder):
    return [outcome(record) for record in read_records(folder)]


def test_another_run_seed_searches_other_sources_in_shards_too(cli, tmp_path):
    folders = [tmp_path / name for name in ("a", "b")]
    for shard, folder in enumerate(folders, 1):
        shared = ("+experiment=mnist_sampling", *TINY, "run_seed=3", f"hydra.run.dir={folder}")
        assert cli(*shared, f"search.shard={shard}/2")[0] == 0
    merge.merge(folders, tmp_path / "joined")
    found = list(read_records(tmp_path / "joined"))
    assert [(record.run_seed, record.label, record.z_seed) for record in found] == [
        (3, 2, 3 * 2**25),
        (3, 8, 3 * 2**25),
    ]
    assert read_config(tmp_path / "joined")["search"]["z_seed_stride"] == 2**25
    whole, *parts = (read_status(folder) for folder in (tmp_path / "joined", *folders))
    assert whole["command"] == parts[0]["command"].replace(" search.shard=1/2", "") != parts[0]["command"]
    searched = sum(json.loads((folder / "metrics.json").read_text())["seconds"] for folder in folders)
    assert whole["seconds"] >= searched > 0
    mode = read_config(folders[0])["tracking"]["mode"]
    assert len(list((tmp_path / "joined").glob("wandb/offline-run-*"))) == (mode == "offline"), "it is mirrored too"


def test_uncertain_sources_are_chosen_counted_apart_and_merged(cli, tmp_path):
    command = ("+experiment=mnist_sampling", *TINY, "search.uncertain_per_class=2")
    for name, changes in (("whole", []), ("a", ["search.shard=1/2"]), ("b", ["search.shard=2/2"])):
        assert cli(*command, f"hydra.run.dir={tmp_path / name}", *changes)[0] == 0
    metrics = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    assert metrics["sources"] == 2
    assert metrics["strata"]["chosen"]["sources"] == metrics["strata"]["chosen"]["accepted"] == 4
    found = list(read_records(tmp_path / "whole"))
    assert len(found) == 6
    assert all(record.accepted and record.stratum == "uncertain" for record in found[2:])
    assert merge.main([str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "merged")]) == 0
    assert outcomes(tmp_path / "merged") == outcomes(tmp_path / "whole")


class TestMergeRefuses:
    COMMAND = ("+experiment=mnist_sampling", *TINY)

    def merged(self, tmp_path, *names):
        return merge.main([*(str(tmp_path / name) for name in names), "-o", str(tmp_path / "merged")])

    def test_missing_and_repeated_sources_and_other_settings(self, cli, tmp_path, capfd):
        for name, changes in (("a", ["search.shard=1/2"]), ("b", ["search.shard=2/2", "run_seed=5"])):
            assert cli(*self.COMMAND, f"hydra.run.dir={tmp_path / name}", *changes)[0] == 0
        for names, message in (
            ("a", "expected 2 sources, but 1 are in none of the runs"),
            ("aa", "expected each source once"),
            ("ab", "has other settings than"),
            ("ac", "expected finished runs, but "),
        ):
            assert self.merged(tmp_path, *names) == 2
            assert message in capfd.readouterr().err
        assert not (tmp_path / "merged" / "metrics.json").exists()


def test_a_search_does_not_wait_for_lightning():
    """Importing it, or torchmetrics, takes each process of a search seconds."""
    code = "import sys, latreg.jobs.stages, latreg.jobs.search; print({'lightning', 'torchmetrics'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
