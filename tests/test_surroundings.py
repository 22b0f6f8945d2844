"""A process without a home, without a name, or with closed streams."""

import subprocess
import sys
from pathlib import Path

SHOW = "import os, sys, latreg; print(os.environ.get('HF_HOME'), os.environ.get('NUMBA_CACHE_DIR')); os.fstat(2)"


def test_a_home_that_is_not_there_is_made_up_for(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    env = {"HOME": str(tmp_path / "nothing"), "LATREG_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", SHOW]
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert found.split() == [str(tmp_path / "cache" / "huggingface"), str(tmp_path / "cache" / "numba")]


def test_a_closed_stderr_is_no_place_for_files(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    command = ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, SHOW]
    env = {"HOME": str(tmp_path), "PYTHONPATH": str(root)}
    assert subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, cwd=tmp_path).returncode == 0
