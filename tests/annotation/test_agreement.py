import numpy as np
import pytest

from latreg.agreement import as_text, main
from latreg.annotation.agreement import agreement
from latreg.annotation.answers import Answer, Answers
from latreg.annotation.study import FAULT, LOST, REAL, Item, Study
from latreg.measures.metrics import wilson

ITEMS = [
    Item("0", FAULT, 1, 2, True, "mixing, psi 0.7, class center"),
    Item("1", FAULT, 3, 4, False, "mixing, psi 0.7, class center"),
    Item("2", FAULT, 5, 6, None, "random, no truncation, global center"),
    Item("3", LOST, 7, 8, None, "random, no truncation, global center"),
    Item("4", REAL, 9),
]
STUDY = Study("mnist", [str(n) for n in range(10)], 0, ITEMS)


def said(*named, plausible=True):
    return {str(id): Answer(str(id), answer, plausible, 3) for id, answer in enumerate(named)}


def test_numbers_by_hand():
    found = agreement(STUDY, {"Ann": said(1, 3, 6, 7, 9), "Bob": said(1, 4, None, 7, 9)})
    cells = {name: (of["faults"], of["valid"]) for name, of in found["cells"].items()}
    # One of two is not more than half.
    assert cells == {
        "all": (3, 1),
        "robust": (1, 1),
        "mixing, psi 0.7, class center": (2, 1),
        "random, no truncation, global center": (1, 0),
    }
    judge = found["judge"]
    assert (judge["flips"], judge["precision"], judge["recall"]) == (4, pytest.approx(1 / 3), 0.5)
    assert judge["recall_ci95"] == wilson(1, 2)
    assert found["sut"] == {"answers": 6, "class": 3, "sut": 2, "none": 1}
    assert found["annotators"]["Bob"] == {"pictures": 5, "real": 1, "real_named_right": 1, "plausible": 5}
    (of,) = found["pairs"]
    # Class: 3 of 5 alike; by chance 1/25 (1), 1/25 (7), 1/25 (9) = 0.12. Validity: Ann 1 1 0 1 1, Bob 1 0 0 1 1.
    assert of["kappa_class"] == pytest.approx((0.6 - 0.12) / 0.88)
    assert of["kappa_valid"] == pytest.approx((0.8 - (0.8 * 0.6 + 0.2 * 0.4)) / (1 - 0.56))


def test_a_picture_that_nobody_finds_plausible_is_not_valid():
    found = agreement(STUDY, {"Ann": said(1, 3, 5, plausible=False)})
    assert found["cells"]["all"]["valid"] == 0
    assert found["pairs"] == []
    assert found["krippendorff_alpha"] == {"class": None, "valid": None}
    assert "not measured" in as_text(found)


def test_alpha_is_that_of_the_published_example():
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", C: nominal, 4 observers, missing data: 0.743."""
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    items = [Item(str(n), FAULT, 0) for n in range(12)]
    given = {
        str(name): {str(n): Answer(str(n), value, True, 3) for n, value in enumerate(row) if value is not None}
        for name, row in enumerate(table)
    }
    found = agreement(Study("mnist", [str(n) for n in range(10)], 0, items), given)
    assert found["krippendorff_alpha"]["class"] == pytest.approx(0.743, abs=5e-4)


def test_the_command_prints_and_writes(folder, capsys):
    assert main([str(folder)]) == 2
    assert "expected answers in" in capsys.readouterr().err
    rng = np.random.default_rng(0)
    for name in ("Ann", "Bob"):
        for id in range(40):
            Answers(folder, name).give(Answer(f"{id:04d}", int(rng.integers(10)), True, 2))
    assert main([str(folder)]) == 0
    out = capsys.readouterr().out
    assert "Ann and Bob" in out
    assert "Krippendorff's alpha" in out
    assert (folder / "agreement.json").is_file()
