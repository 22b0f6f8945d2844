"""The four steps of CONTRIBUTING.md: a strategy from its file to its records, with nothing else changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import pytest
from hydra.core.config_store import ConfigStore

from latreg import replay
from latreg.config import StrategyConfig
from latreg.errors import LatregError
from latreg.interfaces import BoundaryPair, Evaluation, Proposal, Source, Strategy
from latreg.runs.records import read_records
from latreg.search.protocol import Search, query, report

TINY = ("search.sources_per_class=4", "search.classes=[2,8]", "device=cpu")


@dataclass(frozen=True)
class Exchange(Strategy):
    """Step 1: exchange the latents of some layers with one partner of each rival, and report the flips."""

    layers: Sequence[int]
    rivals: int
    most_layers: int
    name: str = "exchange"

    def prepared(self, num_ws: int, z_dim: int) -> Self:
        layers = self.layers or range(num_ws)
        if len(layers) > self.most_layers:
            raise LatregError(f"strategy.layers must be at most {self.most_layers}, got {len(layers)}")
        return replace(self, layers=tuple(layers))

    def search(self, source: Source, start: Evaluation) -> Search[None]:
        partners = [Proposal(1.0, 5, rival, tuple(self.layers), 1.0) for rival in start.rivals(self.rivals)]
        for evaluation in (yield from query(partners)):
            if evaluation.flipped:
                yield from report(start, BoundaryPair(start, evaluation, 1.0))


@dataclass
class ExchangeConfig(StrategyConfig):
    """Step 2: its schema."""

    _target_: str = "tests.test_new_strategy.Exchange"
    name: str = "exchange"
    layers: list[int] = field(default_factory=list)  # [] = all layers of the generator
    rivals: int = 1
    most_layers: int = 100


STEPS = {
    "strategy/exchange.yaml": "defaults: [exchange_schema]\nrivals: 2\n",  # step 3
    "experiment/mnist_exchange.yaml": "# @package _global_\ndefaults: [override /strategy: exchange]\n",  # step 4
}


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The command of the new experiment, in a folder `conf` of its own."""
    ConfigStore.instance().store(group="strategy", name="exchange_schema", node=ExchangeConfig)
    for name, text in STEPS.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return ["+experiment=mnist_exchange", f"hydra.searchpath=[file://{tmp_path / 'conf'}]", *TINY]


def test_it_runs_and_its_records_are_saved_and_rendered_again(cli, command, tmp_path):
    assert cli(*command, f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    found = list(read_records(tmp_path / "run"))
    accepted = [record for record in found if record.accepted]
    assert {record.strategy for record in found} == {"exchange"}
    assert {record.queries for record in accepted} == {1 + 2}
    assert {tuple(record.layers) for record in accepted if record.flipped} == {tuple(range(8))}
    assert replay.main([str(tmp_path / "run")]) == 0


def test_it_is_taken_up(cli, command, tmp_path):
    command += [f"hydra.run.dir={tmp_path / 'run'}", "search.part_size=4"]
    assert cli(*command)[0] == 0
    whole = list(read_records(tmp_path / "run"))
    (tmp_path / "run" / "records" / "part-00001.parquet").unlink()
    assert cli(*command, "resume=true")[0] == 0
    again = list(read_records(tmp_path / "run"))
    assert [(r.label, r.z_seed, r.predicted) for r in again] == [(r.label, r.z_seed, r.predicted) for r in whole]


def test_what_it_checks_against_the_generator_is_refused_in_one_sentence(cli, command):
    code, _, err = cli(*command, "strategy.most_layers=7")
    assert code == 1
    assert "strategy.layers must be at most 7, got 8" in err


def test_a_setting_that_its_schema_does_not_have_is_refused(cli, command):
    code, _, err = cli(*command, "strategy.partners=3")
    assert code == 1
    assert "strategy.partners is no setting: strategy has _target_, name, layers, rivals, most_layers" in err
