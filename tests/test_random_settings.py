"""Random settings, good and bad ones mixed: a command succeeds or says one sentence, and writes where it should."""

import os
import random
import re
import signal
import subprocess
import sys
import traceback
from collections import Counter

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers.bad_settings import BASES
from tests.helpers.random_settings import LIMITS, Rows, command_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]

COUNT = 150  # command lines of each base, in this process
WHOLE = 9  # of each base, in processes of their own
SECONDS = 60  # of computing that none of them may take
PATIENCE = 300  # seconds for a whole command
BESIDE = re.compile(r"Error executing job|\d{4}-\d\d-\d\d .*(INFO|WARNING)|wandb: |.*(examples|it)/s")  # the sentence


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Data sets of noise, in the layout of $LATREG_DATA."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=10)})
    for name, shape in (("mnist", (28, 28)), ("fashion_mnist", (28, 28)), ("cifar10", (32, 32, 3))):
        (folder / name).mkdir()
        for split, count in (("train", 60), ("test", 20)):
            images = [Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)) for _ in range(count)]
            rows = {"image": images, "label": [i % 10 for i in range(count)]}
            table = datasets.Dataset.from_dict(rows, features=features)
            table.to_parquet(str(folder / name / f"{split}-00000-of-00001.parquet"))
    return folder


@pytest.fixture
def sandbox(tmp_path, data, monkeypatch):
    """The working directory of the commands. They may write below its `out`, and in caches."""
    work = tmp_path / "work"
    (work / "out").mkdir(parents=True)
    torch.save(Rows().state_dict(), work / "net.pt")
    for name, value in {
        "LATREG_DATA": data,
        "LATREG_CACHE": tmp_path / "cache",
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "offline",
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(work)
    return work


def strays(work):
    """What lies beside the output folder and was not there before."""
    return [path for path in work.rglob("*") if path.relative_to(work).parts[0] not in ("out", "net.pt")]


class TooLong(BaseException):
    """Not an Exception, which a library might swallow."""


def limited(seconds):
    def stop(number, frame):
        raise TooLong

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def kind_of(code, err):
    """How a command ended => what it counts as, and what is wrong with it."""
    if code == 0:
        return "ran", None
    told = f"{code}\n{err}" if isinstance(code, str) else err  # the message of sys.exit
    lines = [line for line in told.splitlines() if line.strip() and not BESIDE.match(line)]
    if "Traceback" in told:
        return "traceback", told[-1500:]
    if len(lines) != 1:
        return "several lines", told[-1500:]
    return "one sentence", None


def attempt(cli, overrides):
    """Run a command in this process."""
    limited(SECONDS)
    try:
        return kind_of(*cli(*overrides)[::2])
    except TooLong:
        return "too long", "".join(traceback.format_stack()[-3:])
    except Exception:
        return "traceback", traceback.format_exc()[-1500:]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@pytest.mark.parametrize("base", BASES)
def test_random_settings_run_or_are_refused(base, sandbox, cli, monkeypatch):
    monkeypatch.chdir(sandbox)  # cli has another one
    ends, failures = Counter(), []
    count, seed = int(os.environ.get("LATREG_COUNT", str(COUNT))), os.environ.get("LATREG_SEED", "0")
    for number, overrides in enumerate(command_lines(base, count, random.Random(f"{base} {seed}"))):
        end, problem = attempt(cli, [*overrides, f"hydra.run.dir=out/{number}"])
        ends[end] += 1
        if found := strays(sandbox):
            problem = f"wrote {found}\n{problem}"
        if problem:
            failures.append(f"{end}: {' '.join(overrides[len(BASES[base]) + len(LIMITS[base]) :])}\n{problem}")
    print(f"{base}: {dict(ends)}")
    assert not failures, f"{base}, {len(failures)} of {dict(ends)}:\n" + "\n\n".join(failures)
    assert min(ends["ran"], ends["one sentence"]) > 0


@pytest.mark.parametrize("base", BASES)
def test_whole_commands_with_random_settings(base, sandbox):
    ends, failures = Counter(), []
    for number, overrides in enumerate(command_lines(base, WHOLE, random.Random(f"whole {base}"))):
        command = [sys.executable, "-m", "latreg.run", *overrides, f"hydra.run.dir=out/{number}", "tracking=disabled"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
        end, problem = kind_of(done.returncode, done.stderr)
        ends[end] += 1
        if problem or strays(sandbox):
            failures.append(f"{end}: {' '.join(overrides)}\n{problem}\n{strays(sandbox)}")
    print(f"{base}, whole commands: {dict(ends)}")
    assert not failures, f"{len(failures)} of {dict(ends)}:\n" + "\n\n".join(failures)
