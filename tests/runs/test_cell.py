"""The one name of a cell."""

import pytest

from latreg.errors import LatregError
from latreg.runs.cell import Cell

NAMES = {
    "mixing, no truncation, global center": Cell("mnist", "mixing", "none", 1.0, "global"),
    "mixing, psi 0.7, class center": Cell("mnist", "mixing", "fixed", 0.7, "class"),
    "mixing, psi 1, class center": Cell("mnist", "mixing", "fixed", 1.0, "class"),
    "random, minimal, global center": Cell("mnist", "random", "minimal", None, "global"),
    "my own, psi 0, global center (a=1, c=(2, 3))": Cell("mnist", "my own", "fixed", 0.0, "global", "a=1, c=(2, 3)"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_has_a_name_and_a_name_a_cell(name):
    assert NAMES[name].name == name
    assert Cell.parse("mnist", name) == NAMES[name]


def test_the_names_of_older_results_are_read():
    assert Cell.parse("mnist", "mixing, fixed psi 0.7, class center") == NAMES["mixing, psi 0.7, class center"]
    assert Cell.parse("mnist", "mixing, none, global center") == NAMES["mixing, no truncation, global center"]


@pytest.mark.parametrize("name", ["", "mixing", "mixing, psi x, global center", "mixing, psi 0.7, global"])
def test_other_words_are_no_name(name):
    with pytest.raises(LatregError, match="expected the name of a cell"):
        Cell.parse("mnist", name)


def test_what_is_drawn_as_one_line_keeps_its_variant():
    assert Cell("mnist", "mixing", "none", 1.0, "global", "a=1").series == "mixing (a=1)"
    assert Cell("mnist", "mixing", "none", 1.0, "global").series == "mixing"
