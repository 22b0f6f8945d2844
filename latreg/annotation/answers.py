"""What people said, a file for each of them: each answer is a line that is on the disk before the page goes on."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from latreg.errors import LatregError
from latreg.names import check_name
from latreg.runs.files import writing

SURE = (1, 2, 3)  # guessed, fairly sure, sure


@dataclass(frozen=True)
class Answer:
    """What one person said of one picture."""

    item: str
    named: int | None  # the class, None = none of them
    plausible: bool  # it could be a picture of the data set
    sure: int  # one of SURE


class Answers:
    """Those of one annotator. A later answer to the same picture replaces the first; both stay in the file.

    Args:
        folder: of the study.
        annotator: a plain name.

    Raises:
        LatregError: the name cannot be that of a file.
    """

    def __init__(self, folder: Path, annotator: str) -> None:
        self.path = folder / "answers" / f"{check_name('the name of an annotator', annotator)}.jsonl"

    def read(self) -> dict[str, Answer]:
        """The answers by picture, the newest last. A line that a killed process left unfinished is passed over."""
        found: dict[str, Answer] = {}
        for line in self._lines():
            with suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                item = entry["item"]
                found.pop(item, None)
                if not entry.get("undone"):
                    answer = Answer(item, entry["named"], entry["plausible"], entry["sure"])
                    if well_formed(answer):
                        found[item] = answer
        return found

    def give(self, answer: Answer) -> None:
        """Add an answer; it is on the disk when this returns.

        Raises:
            LatregError: the disk is full, or the folder cannot be written.
        """
        self._append(asdict(answer))

    def undo(self, item: str) -> None:
        """Take the answer to a picture back."""
        self._append({"item": item, "undone": True})

    def _lines(self) -> Iterable[str]:
        with writing(self.path):
            return self.path.read_text(encoding="utf-8", errors="replace").split("\n") if self.path.is_file() else ()

    def _append(self, entry: dict[str, object]) -> None:
        line = json.dumps(entry | {"time": datetime.now(UTC).isoformat(timespec="seconds")})
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                unfinished = file.tell() and not self._ends_a_line(file.fileno(), file.tell())
                file.write(f"{chr(10) if unfinished else ''}{line}\n".encode())
                file.flush()
                os.fsync(file.fileno())

    @staticmethod
    def _ends_a_line(file: int, size: int) -> bool:
        return os.pread(file, 1, size - 1) == b"\n"


def well_formed(answer: Answer) -> bool:
    """Whether it has the types and the range of an answer; the class is not compared with those of a study."""
    named = answer.named is None or (type(answer.named) is int and answer.named >= 0)
    return named and type(answer.plausible) is bool and answer.sure in SURE and isinstance(answer.item, str)


def read_all(folder: Path) -> dict[str, dict[str, Answer]]:
    """The answers of all annotators of a study by name.

    Raises:
        LatregError: there are none.
    """
    names = sorted(path.stem for path in (folder / "answers").glob("*.jsonl"))
    found = {name: answers for name in names if (answers := Answers(folder, name).read())}
    if not found:
        raise LatregError(f"expected answers in {folder / 'answers'}, got none: python -m latreg.annotate -o {folder}")
    return found
