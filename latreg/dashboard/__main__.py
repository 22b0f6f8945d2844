"""The comparison workspace of a W&B project, or a report with the same panels.

python -m latreg.dashboard PROJECT [--entity E]      create or reset it, and print its URL
python -m latreg.dashboard PROJECT --report          create a new report, and print its URL
python -m latreg.dashboard PROJECT --print           print its specification as JSON; needs no network
"""

import argparse
import sys
from collections.abc import Sequence

from latreg.errors import LatregError


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m latreg.dashboard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", help="name of the W&B project: tracking.project of the runs")
    parser.add_argument("--entity", help="user or team that owns the project (default: you)")
    parser.add_argument("--print", action="store_true", dest="only_print", help="only print the specification")
    parser.add_argument("--report", action="store_true", help="a report instead of the workspace")
    options = parser.parse_args(arguments)
    try:
        print(_dashboard(options.project, options.entity, options.report, options.only_print))
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "wandb_workspaces":
            raise
        print("the dashboard needs wandb-workspaces: pip install 'latreg[dashboard]'", file=sys.stderr)
        return 2
    return 0


def _dashboard(project: str, entity: str | None, report: bool, only_print: bool) -> str:
    from latreg.dashboard.report import make_report
    from latreg.dashboard.saving import save, save_report
    from latreg.dashboard.workspace import make_workspace, specification

    if not only_print:
        return save_report(project, entity) if report else save(project, entity)
    return specification(make_report(project) if report else make_workspace(project))


if __name__ == "__main__":
    sys.exit(main())
