"""A Hugging Face hub on loopback, with as much of its protocol as pushing small files takes."""

import base64
import json

from tests.helpers import json_server


class Hub:
    """What it was told: repositories by `<kind>s/<owner>/<name>`, each with its visibility and its files."""

    def __init__(self):
        self.url = ""
        self.repositories = {}
        self.tokens = set()
        self.refuses = False

    def create(self, type="model", organization="", name="", visibility="public", **_):
        key = f"{type}s/{organization}/{name}"
        self.repositories.setdefault(key, {"visibility": visibility, "files": {}})
        return {"url": f"{self.url}/{key.removeprefix('models/')}"}

    def commit(self, key, lines):
        files = self.repositories[key]["files"]
        for line in lines:
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            if line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        return {"commitUrl": f"{self.url}/{key}/commit/1", "commitOid": "1" * 40, "hookOutput": ""}

    def info(self, key):
        found = self.repositories[key]
        siblings = [{"rfilename": name} for name in found["files"]]
        return {"id": key.split("/", 1)[1], "private": found["visibility"] == "private", "siblings": siblings}


class Handler(json_server.JsonHandler):
    service: Hub

    def do_GET(self):
        key = self.path.removeprefix("/api/").partition("?")[0]
        if key in self.service.repositories:
            self.reply(self.service.info(key))
        else:
            self.reply({"error": "Repository not found"}, 404, **{"X-Error-Code": "RepoNotFound"})

    def do_POST(self):
        self.service.tokens.add(self.headers.get("Authorization"))
        body = self.body()
        path = self.path.removeprefix("/api/")
        if self.service.refuses:
            self.reply({"error": "You have no rights there"}, 403)
        elif path == "repos/create":
            self.reply(self.service.create(**json.loads(body)))
        elif "/preupload/" in path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self.reply({"files": files})
        elif "/commit/" in path:
            self.reply(self.service.commit(path.partition("/commit/")[0], map(json.loads, body.splitlines())))
        else:
            self.reply({})


def serving():
    """A hub for as long as the block lasts."""
    return json_server.serving(Handler, Hub())
