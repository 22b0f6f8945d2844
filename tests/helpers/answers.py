"""A small study with the answers of two people."""

import json
from dataclasses import asdict

from latreg.annotation.answers import Answer, Answers
from latreg.annotation.study import FAULT, FILE, LOST, REAL, Item, Study

CELL = "mixing, psi 0.7, class center"
ITEMS = [Item("0", FAULT, 1, 2, True, CELL), Item("1", FAULT, 3, 4, False, CELL)]
ITEMS += [Item("2", LOST, 5, 6, None, CELL), Item("3", REAL, 7)]


def answered_study(folder):
    folder.mkdir()
    classes = [str(n) for n in range(10)]
    (folder / FILE).write_text(json.dumps(asdict(Study("mnist", classes, 0, ITEMS))))
    for name, named in (("Ann", (1, 3, 5, 7)), ("Bob", (1, 4, 6, 7))):
        for item, label in zip(ITEMS, named, strict=True):
            Answers(folder, name).give(Answer(item.id, label, True, 3))
    return folder
