"""A strategy and an experiment outside of the repository, as docs/your_strategy.md shows them."""

import re
import sys
from pathlib import Path

import pytest

from latreg import replay
from latreg.config import OwnStrategyConfig
from latreg.errors import LatregError
from latreg.jobs.assembly import make_own_strategy
from latreg.runs.records import read_records

PAGE = Path(__file__).parents[1] / "docs" / "your_strategy.md"
FILES = ("my_search.py", "conf/strategy/jump.yaml", "conf/experiment/mnist_jump.yaml")
TINY = ("search.sources_per_class=3", "search.classes=[2,8]", "device=cpu")


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command of the page, in a folder with its files."""
    written = re.findall(r"^```(?:python|yaml)\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    for name, text in zip(FILES, written, strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)  # as python -m does with the working directory
    yield ("+experiment=mnist_jump", "hydra.searchpath=[file://conf]", *TINY)
    sys.modules.pop("my_search", None)


def test_it_runs_and_is_replayed(cli, command, tmp_path, capfd):
    code, _, err = cli(*command, "strategy.args.rivals=3", f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 0, err
    accepted = [record for record in read_records(tmp_path / "run") if record.accepted]
    assert {(record.strategy, record.queries - record.walk_queries) for record in accepted} == {("jump", 1 + 3)}
    assert replay.main([str(tmp_path / "run")]) == 2
    assert "runs code that is not latreg's (strategy._target_=my_search.Jump): give --trust" in capfd.readouterr().err
    assert replay.main([str(tmp_path / "run"), "--trust"]) == 0


@pytest.mark.parametrize(
    ("target", "args", "message"),
    [
        ("my_search.Jump", {"partners": 3}, "my_search.Jump must take strategy.args, {'partners': 3}, but: "),
        ("my_search.Hop", {}, "strategy._target_ must be the import path of something"),
        ("my_search.Proposal", {"psi": 1.0}, "must make what derives from latreg.interfaces.Strategy, got Proposal"),
    ],
)
@pytest.mark.usefixtures("command")
def test_what_is_no_such_strategy_is_one_sentence(target, args, message):
    with pytest.raises(LatregError, match=re.escape(message)):
        make_own_strategy(OwnStrategyConfig(_target_=target, args=args))
