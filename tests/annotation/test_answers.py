import subprocess
import sys

import pytest

from latreg.annotation.answers import Answer, Answers, read_all
from latreg.errors import LatregError

FIRST, SECOND = Answer("0000", 3, True, 3), Answer("0001", None, False, 1)


def test_answers_are_read_back_the_newest_last_and_one_replaces_another(tmp_path):
    answers = Answers(tmp_path, "Ann")
    changed = Answer("0000", 4, True, 2)
    for answer in (FIRST, SECOND, changed):
        answers.give(answer)
    assert list(Answers(tmp_path, "Ann").read().items()) == [("0001", SECOND), ("0000", changed)]
    answers.undo("0000")
    assert answers.read() == {"0001": SECOND}
    assert len(answers.path.read_text().splitlines()) == 4, "nothing is lost"


def test_a_killed_process_costs_no_answer_but_the_one_it_was_writing(tmp_path):
    answers = Answers(tmp_path, "Ann")
    answers.give(FIRST)
    with answers.path.open("a") as file:
        file.write('{"item": "0001", "named"')
    assert answers.read() == {"0000": FIRST}
    answers.give(SECOND)
    assert answers.read() == {"0000": FIRST, "0001": SECOND}


def test_an_answer_is_on_the_disk_before_a_kill(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from latreg.annotation.answers import Answer, Answers
Answers(Path({str(tmp_path)!r}), "Ann").give(Answer("0000", 3, True, 3))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert read_all(tmp_path) == {"Ann": {"0000": FIRST}}


@pytest.mark.parametrize("line", ["[]", '{"item": 3}', '{"item": "0", "named": "x", "plausible": 1, "sure": 9}', "\0"])
def test_lines_that_are_no_answers_are_passed_over(tmp_path, line):
    answers = Answers(tmp_path, "Ann")
    answers.give(FIRST)
    with answers.path.open("a") as file:
        file.write(line + "\n")
    assert answers.read() == {"0000": FIRST}


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".", "x" * 200])
def test_a_name_that_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(LatregError, match="the name of an annotator must be a plain name"):
        Answers(tmp_path, name)


def test_a_study_without_answers(tmp_path):
    with pytest.raises(LatregError, match="expected answers in"):
        read_all(tmp_path)
