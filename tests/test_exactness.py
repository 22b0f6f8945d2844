"""On real networks the records do not depend on chunks, workers, shards or interruptions (on toys: test_execution)."""

import pytest

from latreg import merge
from latreg.runs.records import part_paths, read_records
from tests.helpers.same_records import assert_same

SEARCH = ("search.classes=[4,5,7]", "search.first_z_seed=47", "search.sources_per_class=4", "device=cpu")
SEARCH += ("search.max_queries_per_source=40", "classifier.probe_images=0", "search.part_size=5", "resume=true")


EXPERIMENTS = {
    "mnist_random": (),  # slow only because the others do all that it does, and more
    "mnist_mixing": ("strategy.layer_sets=[[7],[3,4,5],[0,1,2,3,4,5]]",),
    "cifar10_hunt": (),  # a verdict or a guess of ITP that differs would send it another way
}


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

    whole = list(read_records(search("chunk64", "search.chunk=64")))
    assert sum(record.flipped for record in whole) >= 3
    one_by_one = search("chunk1", "search.chunk=1", "search.concurrency=1")
    assert_same(list(read_records(one_by_one)), whole)

    part_paths(one_by_one)[-1].unlink()  # as if killed before it was written
    assert_same(list(read_records(search("chunk1", "search.chunk=7"))), whole)

    ways = ("search.chunk=1", "search.chunk=64", "search.workers=2")
    shards = [search(f"shard{k}", f"search.shard={k}/3", way) for k, way in enumerate(ways, 1)]
    assert merge.main([*map(str, shards), "-o", str(tmp_path / "merged")]) == 0
    assert_same(list(read_records(tmp_path / "merged")), whole)
