"""From the folders of studies by people to what a report says of them."""

from collections.abc import Sequence
from pathlib import Path

from latreg.annotation.agreement import agreement
from latreg.annotation.answers import read_all
from latreg.annotation.study import read_study
from latreg.report.rows import People


def read_people(folders: Sequence[Path]) -> list[People]:
    """The numbers of each study that `latreg.annotate` made; its annotators are not named.

    Raises:
        LatregError: a folder is no study, is damaged, or has no answers.
    """
    return [_people(folder) for folder in folders]


def _people(folder: Path) -> People:
    study = read_study(folder)
    found = agreement(study, read_all(folder))
    pairs = [{name: value for name, value in pair.items() if name != "annotators"} for pair in found["pairs"]]
    numbers = found | {"annotators": list(found["annotators"].values()), "pairs": pairs}
    return People(dataset=study.dataset, **numbers)
