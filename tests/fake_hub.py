"""A Hugging Face hub on loopback: the calls of its API that bring a model, and its refusals.

As huggingface_hub's source has them: https://github.com/huggingface/huggingface_hub.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_" + "x" * 34


@dataclass
class FakeHub:
    """models: folders by id. private, gated: ids. status: of every answer, instead of a real one.

    sent: bytes by path of the files that were asked for. broken: paths that are listed only. cut:
    paths whose connection breaks in the middle, the first time.
    """

    models: dict[str, Path]
    url: str = ""
    private: set[str] = field(default_factory=set)
    gated: set[str] = field(default_factory=set)
    disabled: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    status: int | None = None
    body: bytes | None = None
    sent: dict[str, int] = field(default_factory=dict)
    agents: set[str] = field(default_factory=set)


@contextmanager
def fake_hub(models: dict[str, Path]) -> Iterator[FakeHub]:
    """A hub that runs; it has the commit COMMIT of each model, called main."""
    hub = FakeHub(models)

    class Bound(Handler):
        pass

    Bound.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.agents.add(self.headers["User-Agent"])
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if self.hub.status is not None:
            self.refuse(self.hub.status)
        elif self.hub.body is not None:
            self.answer(self.hub.body)
        elif parts[:2] == ["api", "models"]:
            self.describe("/".join(parts[2:4]), parts[4:])
        elif len(parts) > 4 and parts[2] == "resolve":
            self.send_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self.refuse(404)

    def describe(self, model: str, rest: list[str]) -> None:
        """`/api/models/ID`, `.../revision/REVISION` and `.../tree/REVISION`."""
        if self.refused(model, rest[1] if rest else "main"):
            return
        folder = self.hub.models[model]
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        names = {str(path.relative_to(folder)): path.stat().st_size for path in files}
        names |= dict.fromkeys(self.hub.broken, 1000)
        if rest[:1] == ["tree"]:
            entries = [
                {"type": "file", "path": name, "size": size, "oid": etag(name)}
                for name, size in names.items()
            ]
            self.answer(json.dumps(entries).encode())
            return
        siblings = [{"rfilename": name, "size": size} for name, size in names.items()]
        info = {"id": model, "sha": COMMIT, "siblings": siblings, "private": False}
        self.answer(json.dumps(info).encode())

    def send_file(self, model: str, revision: str, name: str) -> None:
        if self.refused(model, revision):
            return
        if model in self.hub.gated:
            self.refuse(401 if self.token() is None else 403, "GatedRepo")
            return
        path = self.hub.models[model] / name
        if not path.is_file():
            self.refuse(404, "EntryNotFound")
            return
        data = path.read_bytes()
        first, status, headers = 0, 200, {"ETag": f'"{etag(str(path))}"', "X-Repo-Commit": COMMIT}
        if spec := self.headers["Range"]:
            start, _, end = spec.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        length = len(data)
        if self.command == "GET":
            if name in self.hub.cut:
                self.hub.cut.remove(name)
                data = data[: length // 2]
                self.close_connection = True
            self.hub.sent[name] = self.hub.sent.get(name, 0) + len(data)
        self.answer(data, status, headers, length)

    def refused(self, model: str, revision: str) -> bool:
        """Answers with an error where there is one to answer with."""
        token = self.token()
        if token not in (None, TOKEN):
            self.refuse(401, message="Invalid credentials in Authorization header")
        elif model not in self.hub.models or (model in self.hub.private and token is None):
            self.refuse(401 if token is None else 404, "RepoNotFound", "Repository not found")
        elif model in self.hub.disabled:
            self.refuse(403, message="Access to this resource is disabled.")
        elif revision not in ("main", COMMIT):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return False
        return True

    def token(self) -> str | None:
        header = self.headers["Authorization"]
        return header.removeprefix("Bearer ") if header else None

    def refuse(self, status: int, code: str | None = None, message: str | None = None) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        self.answer(b"{}", status, {name: text for name, text in headers.items() if text})

    def answer(
        self,
        data: bytes,
        status: int = 200,
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        """length: what is said of it, where that is not true."""
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def etag(name: str) -> str:
    """Forty hexadecimal digits, as git has them."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
