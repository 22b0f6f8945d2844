"""On real networks the records do not depend on chunks, workers, shards or interruptions (on toys: test_workers)."""

import json

import pytest

from latreg import merge, replay
from latreg.runs.records import part_paths, read_records
from tests.helpers.same_records import assert_same

SEARCH = ("search.classes=[4,5,7]", "search.first_z_seed=47", "search.sources_per_class=3", "device=cpu")
SEARCH += ("search.max_queries_per_source=30", "classifier.probe_images=0", "search.part_size=2", "resume=true")


EXPERIMENTS = {
    "mnist_random": (),  # slow only because the others do all that it does, and more
    "mnist_mixing": ("strategy.layer_sets=[[7],[3,4,5],[0,1,2,3,4,5]]",),
    "cifar10_hunt": (),  # a verdict or a guess of ITP that differs would send it another way
}
WAYS = (("search.chunk=1", "search.concurrency=1"), ("search.chunk=7",), ("search.workers=2",))


@pytest.mark.parametrize(
    "experiment", [pytest.param(name, marks=pytest.mark.slow if name == "mnist_random" else ()) for name in EXPERIMENTS]
)
def test_the_records_do_not_depend_on_how_a_search_was_executed(cli, tmp_path, experiment):
    def search(name, *overrides):
        folder = tmp_path / name
        command = (f"+experiment={experiment}", *SEARCH, *EXPERIMENTS[experiment])
        code, _, err = cli(*command, f"hydra.run.dir={folder}", *overrides)
        assert code == 0, err
        return folder

    whole = list(read_records(search("whole", "search.chunk=64")))
    assert sum(record.flipped for record in whole) >= 3

    shards = [search(f"shard{k}", f"search.shard={k}/3", *way) for k, way in enumerate(WAYS, 1)]
    assert merge.main([*map(str, shards), "-o", str(tmp_path / "merged")]) == 0
    assert_same(list(read_records(tmp_path / "merged")), whole)
    merged, alone = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("merged", "whole"))
    assert {**merged, "seconds": 0, "queries_per_second": 0} == {**alone, "seconds": 0, "queries_per_second": 0}
    assert replay.main([str(tmp_path / "merged")]) == 0

    found = list(read_records(shards[0]))
    part_paths(shards[0])[-1].unlink()  # as if killed before it was written
    assert_same(list(read_records(search("shard1", "search.shard=1/3", "search.chunk=7"))), found)
