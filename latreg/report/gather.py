"""From the folders of runs to the results of a study."""

from collections.abc import Sequence
from pathlib import Path

from latreg.report import aggregate, claims
from latreg.report.gallery import gallery
from latreg.report.results import Results
from latreg.report.runs import read_study


def gather(run_dirs: Sequence[Path]) -> Results:
    """Everything that figures and page need of these runs.

    Raises:
        LatregError: there is no finished search, or one cannot be read.
    """
    study = read_study(run_dirs)
    answers, comparisons = claims.evaluate(study)
    return Results(
        study=aggregate.study_summary(study),
        cells=aggregate.cell_rows(study),
        budget=aggregate.budget_rows(study),
        classes=aggregate.class_rows(study),
        comparisons=comparisons,
        claims=answers,
        gallery=gallery(study),
    )
