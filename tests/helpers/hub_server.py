"""A Hugging Face hub on loopback, with as much of its protocol as pushing small files takes."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


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


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self):
        key = self.path.removeprefix("/api/").partition("?")[0]
        if key in self.hub.repositories:
            self._reply(self.hub.info(key))
        else:
            self._reply({"error": "Repository not found"}, 404, "RepoNotFound")

    def do_POST(self):
        self.hub.tokens.add(self.headers.get("Authorization"))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.removeprefix("/api/")
        if self.hub.refuses:
            self._reply({"error": "You have no rights there"}, 403)
        elif path == "repos/create":
            self._reply(self.hub.create(**json.loads(body)))
        elif "/preupload/" in path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self._reply({"files": files})
        elif "/commit/" in path:
            self._reply(self.hub.commit(path.partition("/commit/")[0], map(json.loads, body.splitlines())))
        else:
            self._reply({})

    def _reply(self, content, status=200, code=None):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def serving():
    """A server for as long as the block lasts => what it holds."""
    hub = Hub()
    handler = type("HubHandler", (Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            server.shutdown()
