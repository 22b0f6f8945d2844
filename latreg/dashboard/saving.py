"""The workspace on a W&B server."""

import wandb
from wandb.errors import Error
from wandb.sdk.lib.service.service_connection import WandbApiFailedError
from wandb_workspaces._graphql import execute_graphql

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
    try:
        sign_in()
        api = wandb.Api()
        entity = entity or api.settings["entity"] or api.default_entity or ""
        workspace = make_workspace(project, entity)
        workspace._internal_name, workspace._internal_id = VIEW, _find(api, project, entity) or ""
        return str(workspace.save().url)  # type: ignore[no-untyped-call]
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
