"""What the servers on loopback share that stand for services: JSON in and out, on a free port."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class JsonHandler(BaseHTTPRequestHandler):
    service: object  # what is served, with an attribute `url`

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, content, status=200, **headers):
        body = json.dumps(content).encode()
        self.send_response(status)
        named = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        for name, value in named.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def serving(handler, service):
    """A server of this service for as long as the block lasts => the service."""
    bound = type(handler.__name__, (handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), bound) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield service
        finally:
            server.shutdown()
