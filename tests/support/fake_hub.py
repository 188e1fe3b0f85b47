"""As much of the Hugging Face Hub as one upload and one download of a model need, in memory, on this machine."""

import base64
import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class FakeHub:
    """A context; ``files``: what was uploaded to ``owner/name``; ``created``: whose repository was asked for."""

    COMMIT = "c" * 40

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.created: dict[str, Any] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    def __enter__(self) -> "FakeHub":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def environment(self, home: Path) -> dict[str, str]:
        """For a process whose client is to talk to this one."""
        others = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        own = {"HF_ENDPOINT": self.address, "HF_HOME": str(home / "hf"), "HF_HUB_DISABLE_XET": "1"}
        return {**others, **own, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content for a request."""
        path = path.partition("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(body)
            self.created = {name: asked.get(name) for name in ("name", "organization")}
            if asked.get("organization") is None:
                owner, _, name = asked["name"].partition("/")
                self.created = {"name": name, "organization": owner}
            return _json({"url": f"{self.address}/owner/name", "id": "owner/name", "name": "owner/name"})
        if path == "/api/validate-yaml":
            return _json({"errors": [], "warnings": []})
        if path.startswith("/api/models/owner/name/preupload/"):
            asked = json.loads(body)["files"]
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]
            return _json({"files": files})
        if path.startswith("/api/models/owner/name/commit/"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{self.address}/owner/name/commit/{self.COMMIT}"
            return _json({"commitUrl": url, "commitOid": self.COMMIT, "pullRequestUrl": None})
        if path.startswith("/api/models/owner/name/tree/"):
            return _json([{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in self._all()])
        if path.startswith("/api/models/owner/name"):
            siblings = [{"rfilename": name} for name, _ in self._all()]
            return _json({"id": "owner/name", "sha": self.COMMIT, "siblings": siblings, "private": True, "tags": []})
        name = path.rpartition("/")[2]
        if path.startswith("/owner/name/resolve/") and name in self.files:
            content = self.files[name]
            etag = hashlib.sha1(content).hexdigest()
            return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": self.COMMIT}, content
        return 404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no such repository"}, b""

    def _all(self) -> list[tuple[str, bytes]]:
        return sorted(self.files.items())


def _json(content: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = hub.answer(self.command, self.path, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = _answer

        def log_message(self, *_: object) -> None:
            pass

    return Handler
