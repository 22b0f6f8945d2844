"""The command `latreg`: it hands over to the commands, and a shell completes what is typed."""

import importlib
import os
import shutil
import subprocess
import sys

import pytest

from latreg.__main__ import COMMANDS, main

SCRIPT = f"""#!{sys.executable}
import sys
from latreg.__main__ import main
sys.exit(main())
"""
COMPLETE = """
eval "$(latreg run --shell-completion install=bash)"
COMP_LINE=$1
COMP_POINT=${#1}
words=($1)
COMP_CWORD=$((${#words[@]} - 1))
hydra_bash_completion
echo "${COMPREPLY[*]}"
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there(name):
    assert callable(importlib.import_module(f"latreg.{COMMANDS[name].module}").main)


def test_help_lists_the_commands_and_imports_none():
    code = "import sys; from latreg.__main__ import main; main(['--help'])"
    code += "; assert not {'torch', 'hydra', 'numpy'} & set(sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert all(f"  {name} " in out for name in COMMANDS)


def test_what_is_no_command_is_named(capsys):
    assert main(["nosuch"]) == 2
    err = capsys.readouterr().err
    assert "expected a command of latreg, got 'nosuch'" in err
    assert all(name in err for name in COMMANDS)
    assert main([]) == 2


def test_arguments_and_exit_codes_are_handed_over(tmp_path, capsys):
    assert main(["replay", str(tmp_path)]) == 2
    assert "expected the folder of a run" in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit_:
        main(["import_generator", "--help"])
    assert exit_.value.code == 0


def test_run_is_read_by_hydra(monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["latreg"])
    assert main(["run", "+experiment=mnist_mixing", "--cfg", "job"]) == 0
    assert "name: mnist_mixing" in capfd.readouterr().out


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("latreg re", {"replay", "retest", "repair", "report"}),
        ("latreg run +experiment=mnist_h", {"+experiment=mnist_hunt"}),
        ("latreg run +experiment=mnist_hunt search.sources", {"search.sources_per_class="}),
    ],
)
def test_bash_completes(line, words, tmp_path):
    script = tmp_path / "latreg"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", line], env=environment, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == words, done.stderr
