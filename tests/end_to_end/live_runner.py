"""What stands between a Live Runner and its client: the published SDK, and a node's proxy."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.nginx import nginx
from tests.server import HTTP, ROOT, Server, wait_until

SDK = Path(__file__).with_name("python_gateway_sdk")
ENVIRONMENT = ROOT / ".cache" / "livepeer-gateway"
NO_PYTHON = (
    "The SDK livepeer-gateway needs Python 3.12: name one in PYTHON312, put python3.12 on the PATH"
    " or let pyenv install it."
)
UV = (str(Path(sys.executable).with_name("uv")), "--quiet")  # in a quarter of pip's time
PRIVATE_HOST = "10.0.0.7:8000"
SHOWN = ("gpu", "app", "version", "metadata", "mode", "capacity", "price_info")
TOKEN = "s3cr3t-of-the-session"
# As go-livepeer's proxyLiveRunner: a path is cut off, Host is the private one, four headers more.
LOCATION = """
    location /apps/upscale/ {{
      proxy_pass {url}/;
      proxy_http_version 1.1;
      proxy_buffering {buffering};
      proxy_request_buffering {buffering};
      proxy_read_timeout 300s;
      proxy_set_header Host {host};
      proxy_set_header Connection "";
      proxy_set_header Livepeer-Runner-Route upscale;
      proxy_set_header Livepeer-Session-Id session_abc;
      proxy_set_header Livepeer-Session-Token {token};
      proxy_set_header Livepeer-Session-Control http://127.0.0.1/{token};
    }}
    location = /discovery {{ alias {folder}/discovery.json; default_type application/json; }}
"""


class Sdk:
    """A process of the published SDK's; one for many calls, as it takes long to start."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [_python(), str(SDK / "call.py")],
            env={**os.environ, "NO_PROXY": "127.0.0.1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, what: str, **arguments: Any) -> dict[str, Any]:
        """What it makes of a call: `plain`, `stream` or `discover` of call.py."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, arguments]) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def stop(self) -> None:
        self._process.communicate(timeout=60)


def python312() -> str:
    """An interpreter of the SDK's version. Fails the test where there is none."""
    named = [os.environ.get("PYTHON312"), shutil.which("python3.12")]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in (*named, *sorted(map(str, versions.glob("3.12*/bin/python3.12")))):
        # pyenv has a python3.12 on the PATH that runs in some folders only.
        if path and subprocess.run([path, "-V"], capture_output=True, check=False).returncode == 0:
            return path
    raise AssertionError(NO_PYTHON)


def _python() -> Path:
    """That of an environment with the SDK, made once."""
    requirements = SDK / "requirements.txt"
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    installed, python = ENVIRONMENT / requirements.name, ENVIRONMENT / "bin" / "python"
    with FileLock(ENVIRONMENT.with_suffix(".lock")):
        wanted = requirements.read_text()
        if not installed.exists() or installed.read_text() != wanted:
            make = [*UV, "venv", "--clear", "--python", python312(), str(ENVIRONMENT)]
            subprocess.run(make, check=True)
            install = [*UV, "pip", "install", "--python", str(python), "-r", str(requirements)]
            subprocess.run(install, check=True)
            installed.write_text(wanted)
    return python


@contextmanager
def orchestrator(
    server: Server, entry: dict[str, Any], folder: Path, buffering: str
) -> Iterator[str]:
    """The address of a proxy before a server, which shows it in GET /discovery.

    entry: of runners.json. buffering: nginx's `on` or `off`.
    """
    location = LOCATION.format(
        url=server.url, buffering=buffering, host=PRIVATE_HOST, token=TOKEN, folder=folder
    )
    with nginx(folder, location) as proxy:
        shown = {name: value for name, value in entry.items() if name in SHOWN}
        path = entry["runner_url"].removeprefix(server.url)
        shown["url"] = f"{proxy.url}/apps/upscale{path}"
        discovery = [{"address": proxy.url, "runners": [shown]}]
        (folder / "discovery.json").write_text(json.dumps(discovery))
        wait_until(lambda: HTTP.get(f"{proxy.url}/apps/upscale/health").status_code == 200, 20)
        yield proxy.url
