"""What the answers to a study say: who agrees with whom, and how valid people find the faults."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from latreg.annotation.answers import Answer
from latreg.annotation.study import FAULT, LOST, REAL, Item, Study
from latreg.errors import LatregError
from latreg.measures.metrics import wilson

Given = Mapping[str, Mapping[str, Answer]]  # annotator => picture => answer


def agreement(study: Study, answers: Given) -> dict[str, Any]:
    """All numbers of a study.

    A picture is valid to a person who names the class it was made for and finds it plausible, and valid to people where
    more than half of those who saw it say so. The judge is measured against that on the flips of the study, which hold
    more of its rejections than a run does: its precision here is not the one of a run.

    Returns:
        `annotators`: of each, pictures, real ones and how many of these were named right, and all found plausible;
        `cells`: of each cell the faults that people saw, those that they find valid, and the share with its 95 %
        interval; `pairs`: Cohen's kappa of each two annotators about class and validity; `krippendorff_alpha` of all
        about both; `judge`: flips, its precision and recall with intervals; `sut`: how many answers to faults give the
        class, the SUT's answer, or none. None where there is nothing to measure.
    """
    items = {item.id: item for item in study.items}
    seen = {name: {id: one for id, one in given.items() if id in items} for name, given in answers.items()}
    verdicts = _verdicts(items, seen)
    named = {name: {id: _named(study, one) for id, one in given.items()} for name, given in seen.items()}
    valid = {name: {id: int(_valid(items[id], one)) for id, one in given.items()} for name, given in seen.items()}
    return {
        "pictures": len(items),
        "answered": len(verdicts),
        "annotators": {name: _annotator(items, given) for name, given in seen.items()},
        "cells": _cells(items, verdicts),
        "pairs": [
            {
                "annotators": [first, second],
                "pictures": len(seen[first].keys() & seen[second].keys()),
                "kappa_class": _kappa(named[first], named[second]),
                "kappa_valid": _kappa(valid[first], valid[second]),
            }
            for first, second in combinations(seen, 2)
        ],
        "krippendorff_alpha": {"class": _alpha(list(named.values())), "valid": _alpha(list(valid.values()))},
        "judge": _judge(items, verdicts),
        "sut": _sut(items, seen),
    }


def _valid(item: Item, answer: Answer) -> bool:
    return answer.named == item.label and answer.plausible


def _named(study: Study, answer: Answer) -> int:
    """The class, and one number more for none of them."""
    return len(study.class_names) if answer.named is None else answer.named


def _verdicts(items: Mapping[str, Item], seen: Given) -> dict[str, bool]:
    """Of each picture that somebody saw, whether more than half find it valid."""
    votes: dict[str, list[bool]] = {}
    for given in seen.values():
        for id, answer in given.items():
            votes.setdefault(id, []).append(_valid(items[id], answer))
    return {id: 2 * sum(of) > len(of) for id, of in votes.items()}


def _annotator(items: Mapping[str, Item], given: Mapping[str, Answer]) -> dict[str, Any]:
    real = [answer.named == items[id].label for id, answer in given.items() if items[id].kind == REAL]
    return {
        "pictures": len(given),
        "real": len(real),
        "real_named_right": sum(real),
        "plausible": sum(answer.plausible for answer in given.values()),
    }


def _cells(items: Mapping[str, Item], verdicts: Mapping[str, bool]) -> dict[str, Any]:
    """Faults of each cell; all together, and the robust ones."""
    faults: dict[str, list[bool]] = {"all": [], "robust": []}
    for id, valid in verdicts.items():
        if items[id].kind == FAULT:
            faults["all"].append(valid)
            if items[id].robust:
                faults["robust"].append(valid)
            faults.setdefault(items[id].cell or "", []).append(valid)
    return {cell: _validity(sum(of), len(of)) for cell, of in faults.items()}


def _validity(valid: int, faults: int) -> dict[str, Any]:
    rate = {"valid_rate": _share(valid, faults), "valid_rate_ci95": wilson(valid, faults)}
    return {"faults": faults, "valid": valid} | rate


def _judge(items: Mapping[str, Item], verdicts: Mapping[str, bool]) -> dict[str, Any]:
    """The gates of the runs against people: valid faults, and flips whose class the judge no longer saw."""
    flips = [(items[id].kind == FAULT, valid) for id, valid in verdicts.items() if items[id].kind in (FAULT, LOST)]
    counts = Counter(flips)
    both = counts[True, True]
    passed, good = both + counts[True, False], both + counts[False, True]
    return {
        "flips": len(flips),
        "precision": _share(both, passed),
        "precision_ci95": wilson(both, passed),
        "recall": _share(both, good),
        "recall_ci95": wilson(both, good),
    }


def _sut(items: Mapping[str, Item], seen: Given) -> dict[str, Any]:
    """Whom people agree with about the faults: the class, or the wrong answer."""
    faults = [(items[id], answer) for given in seen.values() for id, answer in given.items() if items[id].kind == FAULT]
    return {
        "answers": len(faults),
        "class": sum(answer.named == item.label for item, answer in faults),
        "sut": sum(answer.named == item.predicted for item, answer in faults),
        "none": sum(answer.named is None for item, answer in faults),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _kappa(first: Mapping[str, int], second: Mapping[str, int]) -> float | None:
    """Cohen's kappa on the pictures that both saw; None where there are fewer than two, or all answers are the same."""
    import torch
    from torchmetrics.functional.classification import multiclass_cohen_kappa

    shared = sorted(first.keys() & second.keys())
    pairs = torch.tensor([[first[id], second[id]] for id in shared], dtype=torch.long).reshape(-1, 2)
    if len(pairs) < 2 or len(torch.unique(pairs)) < 2:
        return None
    return float(multiclass_cohen_kappa(pairs[:, 0], pairs[:, 1], num_classes=int(pairs.max()) + 1))


def _alpha(given: Sequence[Mapping[str, int]]) -> float | None:
    """Krippendorff's alpha of nominal answers; None of one annotator, or where all answers are the same."""
    ids = sorted(set().union(*given))
    table = np.array([[of.get(id, np.nan) for id in ids] for of in given], dtype=float)
    rated_twice = (~np.isnan(table)).sum(0) >= 2
    if not rated_twice.any() or len(np.unique(table[:, rated_twice][~np.isnan(table[:, rated_twice])])) < 2:
        return None
    try:
        import krippendorff
    except ImportError as error:
        raise LatregError(f"agreement needs an extra: pip install 'latreg[annotate]' ({error})") from error
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement="nominal"))
