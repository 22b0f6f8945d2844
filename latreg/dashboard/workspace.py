"""What the workspace shows. docs/dashboard.md says what each panel answers; a test compares the keys with the runs'.

Keys with a prefix are drawn while a run goes on (`search/..`, running totals); the others are those of metrics.json and
come with its end. Panels average over the groups of the run table, unless they say what they group by.
"""

import json
from collections.abc import Sequence

import wandb_workspaces.workspaces as ws
from wandb_workspaces.reports.v2 import interface as wr

from latreg.config import ValidityConfig

NAME = "latreg: comparison"
MAX_RUNS = 100  # lines or bars in one panel
# What is compared: runs that differ in none of these are repetitions (other run_seeds), and are averaged.
GROUPS = (
    ws.Metric("Group"),  # the experiment
    ws.Config("dataset.name"),
    ws.Config("strategy.name"),
    ws.Config("truncation_label"),
)
COLUMNS = (
    *("sources", "accepted", "flipped", "valid_faults", "robust_faults", "robust_rate_per_source"),
    *("queries_per_robust_fault", "held_out_rate_of_robust", "judge_distance", "queries"),
)


def make_workspace(project: str, entity: str = "") -> ws.Workspace:
    """The workspace, not saved yet; the same at each call."""
    workspace = ws.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=sections(),
        settings=ws.WorkspaceSettings(x_axis="search/queries", max_runs=MAX_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=[ws.Metric("JobType") == "search"],  # trainings of the same project have nothing to compare
            groupby=list(GROUPS),
            pinned_columns=[f"summary:{name}" for name in COLUMNS],
        ),
    )
    _fix_ids(workspace)
    return workspace


def sections() -> list[ws.Section]:
    """What is shown, in the order of the questions."""
    return [_curves(), _psi(), _validity(), _costs(), _pairs(), _settings()]


def _fix_ids(workspace: ws.Workspace) -> None:
    """The library draws them."""
    for s, section in enumerate(workspace.sections, start=1):
        for p, panel in enumerate(section.panels, start=1):
            assert isinstance(panel, wr.Panel)
            panel._id = f"latreg-{s}-{p}"


def specification(view: ws.Workspace | wr.Report) -> str:
    """The part of a workspace or a report that W&B stores, as JSON; of a workspace it says nothing of the project."""
    if isinstance(view, ws.Workspace):
        return json.dumps(view._spec["spec"], indent=1)
    model = view._to_model()  # type: ignore[no-untyped-call]
    return str(model.spec.model_dump_json(by_alias=True, exclude_none=True, indent=1))


def _curves() -> ws.Section:
    return _section(
        "Faults against queries",
        [
            _curve("Robust faults", "search/robust_faults"),
            _curve("Robust faults by strategy: mean, least, most", "search/robust_faults", by="strategy.name"),
            _curve("Valid faults", "search/valid_faults"),
            _curve("Flips", "search/flipped"),
            _curve("Accepted sources", "search/accepted"),
        ],
    )


def _psi() -> ws.Section:
    return _section(
        "Yield against psi",
        [
            _against_psi("Robust faults per source", "robust_rate_per_source"),
            _against_psi("Valid faults per source", "fault_rate_per_source"),
            _against_psi("Valid faults per accepted source", "fault_rate_per_accepted"),
            _against_psi("Accepted share of the sources", "acceptance_rate"),
            _against_psi("Queries per robust fault (log scale)", "queries_per_robust_fault", log=True),
            _against_psi("Diversity of the valid faults", "diversity"),
        ],
    )


def _validity() -> ws.Section:
    left = ("flipped", *ValidityConfig().gates, "valid_faults", "robust_faults", "screened")
    return _section(
        "Validity",
        [
            _bars("What is left of the flips", [f"search/{name}" for name in left]),
            _bars("Valid faults by stratum", ["strata/confident/valid_faults", "strata/uncertain/valid_faults"]),
            _bars("Share that the held-out judge keeps", ["held_out_rate_of_valid", "held_out_rate_of_robust"]),
            _bars("Distinct pairs of class and answer", ["distinct_class_pairs"]),
            _bars("Groups of like faults", ["groups"]),
            _bars("Distance between valid faults in the judge's features", ["judge_distance"]),
            _bars("Distance from the boundary (median margin)", ["boundary_margin_median"]),
        ],
    )


def _costs() -> ws.Section:
    return _section(
        "Costs",
        [
            _bars("Queries per robust fault", ["queries_per_robust_fault"]),
            _bars("Queries per valid fault", ["queries_per_valid_fault"]),
            _bars("Sources per valid fault", ["sources_per_valid_fault"]),
            _bars("Queries per second", ["queries_per_second"]),
        ],
    )


def _pairs() -> ws.Section:
    return _section("Boundary pairs", [wr.WeavePanelSummaryTable(table_name="boundary")], columns=1)


def _settings() -> ws.Section:
    return _section("Settings that differ", [wr.RunComparer(diff_only="split")], columns=1)


def _section(name: str, panels: list[wr.PanelTypes], columns: int = 3) -> ws.Section:
    layout = ws.SectionLayoutSettings(columns=columns, rows=-(-len(panels) // columns))
    return ws.Section(name=name, panels=panels, is_open=True, layout_settings=layout)


def _curve(title: str, key: str, by: str | None = None) -> wr.LinePlot:
    """A running total against queries; by = config key whose runs are averaged, None = those of a group."""
    return wr.LinePlot(
        title=title,
        x="search/queries",
        y=[key],
        title_x="queries",
        groupby=None if by is None else wr.Config(by),
        groupby_aggfunc=None if by is None else "mean",
        groupby_rangefunc=None if by is None else "minmax",
        max_runs_to_show=MAX_RUNS,
    )


def _against_psi(title: str, key: str, log: bool = False) -> wr.ScatterPlot:
    """A point for each run at the median psi of its sources, which is psi itself unless truncation is adaptive."""
    return wr.ScatterPlot(
        title=title, x=wr.SummaryMetric("source_psi_median"), y=wr.SummaryMetric(key), log_y=log or None
    )


def _bars(title: str, keys: Sequence[str]) -> wr.BarPlot:
    return wr.BarPlot(title=title, metrics=list(keys), max_runs_to_show=MAX_RUNS, max_bars_to_show=MAX_RUNS)
