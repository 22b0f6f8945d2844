"""Workspace and report on a W&B server."""

from collections.abc import Iterator
from contextlib import contextmanager

import wandb
from wandb.errors import Error
from wandb.sdk.lib.service.service_connection import WandbApiFailedError
from wandb_workspaces._graphql import execute_graphql

from latreg.dashboard.report import make_report
from latreg.dashboard.workspace import make_workspace
from latreg.errors import LatregError
from latreg.tracking import sign_in

VIEW = "nw-latregboard-v"  # how the server knows it, so that it is there once; nw-..-v is W&B's form
_FIND = """
    query LatregView($project: String, $entity: String, $view: String) {
        project(name: $project, entityName: $entity) {
            allViews(viewType: "project-view", viewName: $view) { edges { node { id } } }
        }
    }
"""


def save(project: str, entity: str | None = None) -> str:
    """Make the workspace of a project, or set it back to what `make_workspace` says.

    Args:
        project: its name.
        entity: user or team; None = the user's own.

    Returns:
        Address of the workspace.

    Raises:
        LatregError: no API key is set, the project is not there, or the server does not answer or refuses.
    """
    with _server(entity) as (api, owner):
        workspace = make_workspace(project, owner)
        workspace._internal_name, workspace._internal_id = VIEW, _find(api, project, owner) or ""
        return str(workspace.save().url)  # type: ignore[no-untyped-call]


def save_report(project: str, entity: str | None = None) -> str:
    """Make a new report on a project; arguments, result and errors are those of `save`."""
    with _server(entity) as (api, owner):
        _find(api, project, owner)
        report = make_report(project, owner).save()
        return str(report.url)


@contextmanager
def _server(entity: str | None) -> Iterator[tuple[wandb.Api, str]]:
    """W&B, with the user who signed in or the given entity."""
    try:
        sign_in()
        api = wandb.Api()
        yield api, entity or api.settings["entity"] or api.default_entity or ""
    except (Error, WandbApiFailedError, OSError) as error:
        raise LatregError(f"W&B failed: {str(error).splitlines()[0]}") from error


def _find(api: wandb.Api, project: str, entity: str) -> str | None:
    """The id of the workspace that is there, None = none yet.

    Raises:
        LatregError: there is no such project.
    """
    found = execute_graphql(api, _FIND, {"project": project, "entity": entity, "view": VIEW})["project"]
    if found is None:
        raise LatregError(
            f"expected a W&B project that holds runs, but {entity}/{project} does not exist or is not visible to you; "
            "`wandb sync` of a run creates it"
        )
    edges = found["allViews"]["edges"]
    return edges[0]["node"]["id"] if edges else None
