"""A W&B server on loopback, with as much of its protocol as runs, `wandb sync` and saved workspaces take."""

import json
import os
import re
from urllib.parse import quote, unquote

import wandb

from latreg.tracking import link
from tests.helpers import json_server

KEY = "0123456789" * 4
ENTITY, PROJECT = "nobody", "latreg"


def forget_user(monkeypatch, folder):
    """A user without a key or settings, whose home is in a folder, and a server that nobody can reach."""
    for name in [n for n in os.environ if n.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in link._FOLDERS:
        monkeypatch.setenv(name, "")  # so that what the code sets is gone afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("NETRC", str(folder / "home" / ".netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    wandb.teardown()  # its settings are read once per process


class Account:
    """What the server was told. Uploads are found by `<run>/<file>` and `<artifact>/<file>`."""

    def __init__(self):
        self.url = ""
        self.files = {}
        self.runs = {}  # name => what the run was created with
        self.streams = {}  # wandb-history.jsonl, .. => lines
        self.views = {}  # name => what was saved
        self.projects = {PROJECT}
        self.forbidden = set()  # first fields of what it refuses

    def answer(self, query, variables):
        """One method for each first field of a question; others are answered by null."""
        (field,) = re.search(r"{\s*(\w+)", query).groups()
        if field in self.forbidden:
            return {"errors": [{"message": "permission denied", "path": [field]}], "data": {field: None}}
        return {"data": {field: getattr(self, f"_{field}", lambda **_: None)(**variables)}}

    def stream(self, files):
        for name, part in files.items():
            self.streams.setdefault(name, []).extend(json.loads(line) for line in part["content"])

    def _upload(self, path):
        return {"uploadUrl": f"{self.url}/storage/{quote(path)}", "uploadHeaders": []}

    def _serverInfo(self):
        return {"cliVersionInfo": {}, "latestLocalVersionInfo": None, "features": []}

    def _viewer(self):
        return {"id": "u", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}

    # ---- runs

    def _upsertBucket(self, name, **values):
        self.runs.setdefault(name, {}).update({key: value for key, value in values.items() if value is not None})
        project = {"id": "p", "name": PROJECT, "entity": {"id": "u", "name": ENTITY}}
        bucket = {"id": name, "name": name, "displayName": name, "sweepName": None, "historyLineCount": 0}
        return {"bucket": bucket | {"config": "{}", "project": project}, "inserted": True}

    def _createRunFiles(self, run, files, **_):
        return {"uploadHeaders": [], "files": [{"name": file} | self._upload(f"{run}/{file}") for file in files]}

    # ---- artifacts: their id is the name of their collection

    def _createArtifact(self, input):
        return {"artifact": {"id": input["artifactCollectionName"], "state": "PENDING", "artifactSequence": {}}}

    def _createArtifactManifest(self, artifactID, name, **_):
        return {"artifactManifest": {"id": artifactID, "file": self._upload(f"{artifactID}/{name}")}}

    def _createArtifactFiles(self, input):
        names = [(file["artifactID"], file["name"]) for file in input["artifactFiles"]]
        nodes = [self._upload(f"{id}/{name}") | {"storagePath": name, "artifact": {"id": id}} for id, name in names]
        return {"files": {"edges": [{"node": node} for node in nodes]}}

    def _commitArtifact(self, artifactID):
        return {"artifact": {"id": artifactID, "digest": ""}}

    # ---- workspaces and reports

    def _models(self, **_):
        projects = [{"__typename": "Project", "id": p, "name": p, "entityName": ENTITY} for p in self.projects]
        nodes = [{"node": p | {"createdAt": "2026-01-01", "isBenchmark": False, "user": None}} for p in projects]
        return {"pageInfo": {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}, "edges": nodes}

    def _project(self, project=None, view=None, projectName=None, **_):
        if projectName is not None:
            return {"id": "p", "internalId": "p"} if projectName in self.projects else None
        if view is None:
            return None  # runs ask too whether somebody wants to stop them
        edges = [{"node": {"id": f"id of {name}"}} for name in self.views if name == view]
        return {"allViews": {"edges": edges}} if project in self.projects else None

    def _upsertView(self, name, **values):
        inserted = name not in self.views
        self.views[name] = values
        project = {"id": "p", "name": PROJECT, "entityName": ENTITY}
        return {"view": values | {"id": f"id of {name}", "name": name, "project": project}, "inserted": inserted}


class Handler(json_server.JsonHandler):
    service: Account

    def do_POST(self):
        body = self.body()
        if self.path == "/graphql":
            request = json.loads(body)
            self.reply(self.service.answer(request["query"], request.get("variables") or {}))
            return
        if self.path.endswith("/file_stream"):
            self.service.stream(json.loads(body).get("files", {}))
        self.reply({})

    def do_PUT(self):
        self.service.files[unquote(self.path).removeprefix("/storage/")] = self.body()
        self.reply({})


def serving():
    """A server for as long as the block lasts => its account."""
    return json_server.serving(Handler, Account())
