"""What people said of a study: python -m latreg.agreement study/. Writes agreement.json into the folder."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latreg.annotation.agreement import agreement
from latreg.annotation.answers import read_all
from latreg.annotation.labelstudio import take_answers
from latreg.annotation.study import read_study
from latreg.errors import LatregError
from latreg.measures.tables import aligned, percent, shown
from latreg.runs.files import write_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.agreement", description=__doc__)
    parser.add_argument("study", type=Path, help="folder that latreg.annotate made")
    parser.add_argument("--labelstudio", type=Path, help="first add the answers of this JSON export of Label Studio")
    parser.add_argument(
        "--wandb",
        action="store_true",
        help="log them to W&B too, as its variables say (WANDB_PROJECT ..); else offline",
    )
    options = parser.parse_args(arguments)
    try:
        study = read_study(options.study)
        if options.labelstudio:
            print(f"{take_answers(study, options.study, options.labelstudio)} answers are new or changed")
        found = agreement(study, read_all(options.study))
        write_json(options.study / "agreement.json", found)
        if options.wandb:
            _log(options.study, study.dataset, found)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    print(as_text(found))
    return 0


def _log(folder: Path, dataset: str, found: dict[str, Any]) -> None:
    from latreg.composing import composed
    from latreg.config import typed
    from latreg.tracking import log_people

    logging.basicConfig(format="%(message)s")
    logging.getLogger("latreg").setLevel(logging.INFO)  # says where it went
    log_people(typed(composed(["name=people"])).tracking, folder, dataset, found)


def as_text(found: dict[str, Any]) -> str:
    """The numbers as tables."""
    people = [["annotator", "pictures", "real, named right", "plausible"]]
    people += [
        [name, str(of["pictures"]), f"{of['real_named_right']} of {of['real']}", str(of["plausible"])]
        for name, of in found["annotators"].items()
    ]
    cells = [["faults of", "seen", "valid to people", "share"]]
    cells += [
        [name, str(of["faults"]), str(of["valid"]), shown("valid_rate", of) or "-"]
        for name, of in found["cells"].items()
    ]
    pairs = [["annotators", "pictures in common", "kappa, class", "kappa, validity"]]
    pairs += [
        [" and ".join(of["annotators"]), str(of["pictures"]), _number(of["kappa_class"]), _number(of["kappa_valid"])]
        for of in found["pairs"]
    ]
    alpha, judge, sut = found["krippendorff_alpha"], found["judge"], found["sut"]
    lines = [
        f"Krippendorff's alpha: {_number(alpha['class'])} about the class, {_number(alpha['valid'])} about validity.",
        f"Of {judge['flips']} flips, the judge's precision is {_percent(judge, 'precision')} and its recall "
        f"{_percent(judge, 'recall')}, with people as the truth.",
        f"Of {sut['answers']} answers to faults, {sut['class']} give the class, {sut['sut']} the answer of the SUT, "
        f"{sut['none']} none.",
    ]
    tables = [aligned(people), aligned(cells), *([aligned(pairs)] if found["pairs"] else [])]
    return "\n\n".join([*tables, "\n".join(lines)])


def _percent(of: dict[str, Any], name: str) -> str:
    if of[name] is None:
        return "not measured"
    low, high = map(percent, of[f"{name}_ci95"])
    return f"{percent(of[name])} ({low.removesuffix(' %')} to {high})"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
