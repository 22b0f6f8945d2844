"""The comparison workspace of a W&B project.

python -m latreg.dashboard PROJECT [--entity E]      create or reset it, and print its URL
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
    options = parser.parse_args(arguments)
    try:
        print(_dashboard(options.project, options.entity, options.only_print))
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "wandb_workspaces":
            raise
        print("the dashboard needs wandb-workspaces: pip install 'latreg[dashboard]'", file=sys.stderr)
        return 2
    return 0


def _dashboard(project: str, entity: str | None, only_print: bool) -> str:
    from latreg.dashboard.saving import save
    from latreg.dashboard.workspace import make_workspace, specification

    return specification(make_workspace(project)) if only_print else save(project, entity)


if __name__ == "__main__":
    sys.exit(main())
