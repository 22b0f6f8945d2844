"""The same panels as the workspace's in a report: a page with text between them that can be shared and printed."""

from wandb_workspaces import expr
from wandb_workspaces.reports.v2 import interface as wr

from latreg.dashboard.workspace import COLUMNS, GROUPS, sections

TITLE = "latreg: comparison of searches"
WIDTH, HEIGHT = 24, 8  # of the grid that a report lays panels out on, and of a panel in it
INTRODUCTION = (
    "Searches for inputs on which a classifier is wrong although a judge still sees the class. Runs that differ only "
    "in run_seed are repetitions, and panels show their mean. Intervals and tests are in the page that "
    "`python -m latreg.report` makes."
)
# What a reader should look for, by the name of a section.
TEXTS = {
    "Faults against queries": "Which search finds most for the same number of queries.",
    "Yield against psi": "At which psi most sources give a robust fault, and whether diversity pays for it.",
    "Validity": "What is left of the flips behind each gate, and how different they are.",
    "Costs": "What a fault costs.",
    "Boundary pairs": "Source, last correct and first wrong image of each run. Would you name the class?",
    "Settings that differ": "What else differs between the runs.",
}


def make_report(project: str, entity: str = "") -> wr.Report:
    """The report, not saved yet, on the searches of a project. With an entity, the server is asked for the project."""
    blocks: list[wr.BlockTypes] = [wr.P(INTRODUCTION)]
    for section in sections():
        _lay_out(section.panels)
        blocks += [wr.H2(section.name), wr.P(TEXTS[section.name])]
        blocks.append(wr.PanelGrid(runsets=[_searches(project, entity)], panels=section.panels))
    return wr.Report(project=project, entity=entity, title=TITLE, blocks=blocks, width="fluid")


def _searches(project: str, entity: str) -> wr.Runset:
    return wr.Runset(
        project=project,
        entity=entity,
        name="searches",
        filters=[expr.Metric("JobType") == "search"],
        groupby=["group" if isinstance(key, expr.Metric) else f"config.{key.name}" for key in GROUPS],
        pinned_columns=[f"summary:{name}" for name in COLUMNS],
    )


def _lay_out(panels: list[wr.PanelTypes]) -> None:
    """Three in a row, or one as wide as the page."""
    columns = 1 if len(panels) == 1 else 3
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        width = WIDTH // columns
        assert isinstance(panel, wr.Panel)
        panel.layout = wr.Layout(x=column * width, y=row * HEIGHT, w=width, h=HEIGHT * (2 if columns == 1 else 1))
