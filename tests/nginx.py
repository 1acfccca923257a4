"""Debian's nginx, as the proxy that stands before the server in production."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from embedded.triton import free_port
from tests.server import HTTP, wait_until

NO_NGINX = "This test needs nginx (Debian: nginx-light), but there is none on the PATH."
CONFIGURATION = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_max_body_size 20m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {upstream}
  server {{
    listen 127.0.0.1:{port};
    location = /generation {{ return 200 "{generation}"; }}
    {location}
  }}
}}
"""


class Nginx:
    """location: what a server of its has. upstream: what stands before that."""

    def __init__(self, folder: Path, location: str, upstream: str = "") -> None:
        self.folder = folder
        self._port = free_port()
        self._generation = 0
        self.url = f"http://127.0.0.1:{self._port}"
        self._write(location, upstream)
        command = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        assert command, NO_NGINX
        self.process = subprocess.Popen(
            [command, "-p", str(folder), "-c", str(self._file), "-e", "stderr"]
        )

    @property
    def _file(self) -> Path:
        return self.folder / "nginx.conf"

    def _write(self, location: str, upstream: str) -> None:
        self._generation += 1
        text = CONFIGURATION.format(
            folder=self.folder,
            port=self._port,
            location=location,
            upstream=upstream,
            generation=self._generation,
        )
        self._file.write_text(("user root;" if os.geteuid() == 0 else "") + text)

    def change(self, location: str, upstream: str = "") -> None:
        """From now on it is so; requests that it has go on as they were."""
        self._write(location, upstream)
        self.process.send_signal(signal.SIGHUP)
        wait_until(self.is_up_to_date, 20)

    def is_up_to_date(self) -> bool:
        try:
            return HTTP.get(f"{self.url}/generation").text == str(self._generation)
        except httpx.ConnectError:  # it starts
            return False


@contextmanager
def nginx(folder: Path, location: str, upstream: str = "") -> Iterator[Nginx]:
    """One that runs and answers."""
    started = Nginx(folder, location, upstream)
    try:
        wait_until(started.is_up_to_date, 20)
        yield started
    finally:
        started.process.terminate()
        started.process.wait(20)
