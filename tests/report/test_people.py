"""What people said, from the folder of a study to the page."""

import re

from latreg.report import page, results
from latreg.report.people import read_people
from latreg.report.results import Results
from latreg.report.rows import CellRow
from latreg.runs.cell import Cell
from tests.helpers.answers import CELL, answered_study


def found(**tables):
    rate = "held_out_rate_of_valid"
    numbers = {"sources": 9, "accepted_rate": 1.0, "flipped": 2, "all_gates": 2, "valid_faults": 2, "class_pairs": 1}
    numbers |= {"flipped_rate": 0.5, "flipped_rate_low": 0.4, "flipped_rate_high": 0.6}
    numbers |= {rate: 0.75, f"{rate}_low": 0.5, f"{rate}_high": 1.0}
    summary = {"runs": 1, "cells": 1, "sources": 9, "queries": 9, "seconds": 1, "datasets": {}, "versions": {}}
    summary |= {"git_commits": [], "commands": [], "notes": []}
    empty = {"budget": [], "classes": [], "comparisons": [], "claims": [], "gallery": []}
    return Results(study=summary, cells=[CellRow(Cell.parse("mnist", CELL), "all", numbers)], **empty, **tables)


def test_the_page_shows_what_people_said_beside_the_judge(tmp_path):
    people = read_people([answered_study(tmp_path / "people")])
    text = page.page(found(people=people), {})
    assert not {"Ann", "Bob"} & set(re.findall(r"\w+", text)), "annotators are not named"
    shown = text.split('data-name="people_cells"')[1].split("</table>")[0]
    assert '>2</td>\n<td class="n">50.0 % (9.5 to 90.5)</td>\n<td class="n">75.0 % (50.0 to 100.0)</td>' in shown
    assert ">100.0 % (20.7 to 100.0)</td>" in text, (
        "recall of the judge: the flip that it rejected is not valid to people"
    )


def test_results_keep_what_people_said_and_do_without_it(tmp_path):
    (people,) = read_people([answered_study(tmp_path / "people")])
    results.write(found(people=[people]), tmp_path / "results")
    assert results.read(tmp_path / "results").people[0].pairs[0].keys() == people.pairs[0].keys()
    results.write(found(), tmp_path / "results", ["people"])
    assert results.read(tmp_path / "results").people == []
