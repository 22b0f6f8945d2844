"""How much memory a long search takes."""

import os
import subprocess
import sys

import pytest

from latreg.runs.records import read_records

GIB = 2**20  # in the kilobytes of ru_maxrss


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_thousand_sources_take_less_than_two_gib_per_process(tmp_path, workers):
    command = [sys.executable, "-m", "latreg.run", "+experiment=mnist_mixing", "search.sources_per_class=100"]
    command += [f"search.workers={workers}", "search.max_queries_per_source=150"]
    command += ["device=cpu", f"hydra.run.dir={tmp_path}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)  # the largest of the process and its workers
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert sum(1 for _ in read_records(tmp_path)) == 1000
    print(f"{usage.ru_maxrss / GIB:.2f} GiB")
    assert usage.ru_maxrss < 2 * GIB
