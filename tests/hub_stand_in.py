"""As much of the hub as an upload and a download of small files take, on this machine."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_COMMIT = "0" * 40


class _Handler(BaseHTTPRequestHandler):
    server: "StandIn"
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.refuses:
            self._json({"error": self.server.refuses}, status=403)
        elif self.path == "/api/repos/create":
            content = json.loads(body)
            name = f"{content['organization']}/{content['name']}" if content.get("organization") else content["name"]
            self._json({"url": f"{self.server.url}/{name}", "name": name, "id": "1"})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [{"path": own["path"], "uploadMode": "regular"} for own in json.loads(body)["files"]]
            self._json({"files": [{**own, "shouldIgnore": False} for own in files]})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self._json({"success": True, "commitOid": _COMMIT, "commitUrl": f"{self.server.url}/x/y/commit/{_COMMIT}"})
        else:
            self._json({"error": f"no {self.path}"}, status=404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if "/resolve/" in path:
            content = self.server.files.get(path.split("/resolve/")[1].split("/", 1)[1])
            if content is None:
                self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
                return
            self._send(content, 200, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": _COMMIT})
        elif "/tree/" in path:
            files = self.server.files.items()
            oids = {name: hashlib.sha1(content).hexdigest() for name, content in files}
            self._json([{"type": "file", "path": name, "size": len(own), "oid": oids[name]} for name, own in files])
        elif path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in self.server.files]
            self._json({"id": "x/y", "sha": _COMMIT, "siblings": siblings, "private": False, "tags": []})
        else:
            self._json({"error": f"no {path}"}, 404)

    def _json(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(content).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class StandIn(ThreadingHTTPServer):
    """One repository.

    Attributes:
        files: By their paths.
        refuses: Why nothing is taken; empty where it is.
        url: Where it listens.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.refuses = ""
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub() -> Iterator[StandIn]:
    """An empty one."""
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
