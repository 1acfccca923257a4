"""`make compose-drill`: docker/compose.yaml brought up without Docker, from an export to metrics.

With podman-compose, the CPU profile and the demo model; the images are those of `make images`, on
bases that stand in. Prometheus is Debian's in an image of the name that Compose asks for; Grafana
stays away. Health checks are run by hand, since podman leaves their times to systemd. A stage is
killed, and pictures must come again. For a person, not pytest's default run.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.deploy.bases import PYTHON, nvidia_base
from tests.deploy.containers import Containers
from tests.deploy.dockerfile import DOCKER
from tests.photographs import file_of, photograph
from tests.server import HTTP

PROMETHEUS = "docker.io/prom/prometheus:v3.5.0"
PODMAN_COMPOSE = "podman-compose==1.5.0"
UVX = Path(sys.executable).parent / "uvx"
ONCE = ("volume", "export-cpu")
SERVICES = (*ONCE, "triton-cpu", "gateway", "prometheus")
GATEWAY = "http://127.0.0.1:8000"
TIMEOUT_S = 900
# In brackets, so that it finds the stage and not the shell whose argument this is.
KILL_DENOISE = """for process in /proc/[0-9]*; do
    if grep -qs '[d]enoise/1/model.py' "$process/cmdline"; then kill -KILL "${process#/proc/}"; fi
done"""


class Drill:
    def __init__(self) -> None:
        self.containers = Containers()
        self.containers.environment |= {
            "COMPOSE_PROFILES": "cpu",
            "MODEL": "/checkpoint",
            "REVISION": "",
            "MODEL_REPOSITORY": "/models/demo-1",
            "DISABLE_HC_SYSTEMD": "true",
        }

        # Where limits may not be raised, podman fails; without any it takes those of this machine.
        self.override = self.containers.folder / "compose-override.yaml"
        self.override.write_text("services:\n  triton-cpu:\n    ulimits: !override {}\n")

    def compose(self, *words: str) -> str:
        tool = (UVX, "--quiet", "--from", PODMAN_COMPOSE, "podman-compose")
        options = ("--profile", "cpu", "-f", DOCKER / "compose.yaml", "-f", self.override)
        return self.containers.run(*tool, *options, *words)

    def prepare(self) -> None:
        nvidia_base(self.containers)
        for name in ("gateway", "triton", "export"):
            self.containers.build(name)
        if not self.containers.has(PROMETHEUS):
            folder = self.containers.folder / "prometheus"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            command = shutil.which("prometheus")
            assert command, "This needs Debian's prometheus."
            shutil.copy2(command, folder)
            entrypoint = "/usr/local/bin/prometheus"
            place = (folder, "/usr/local/bin")
            self.containers.layer(PROMETHEUS, PYTHON, place, entrypoint=entrypoint)

    def run(self) -> None:
        # One by one: what podman's containers depend on has to go on running, and these two end.
        for service in SERVICES:
            self.compose("up", "--detach", "--no-deps", service)
            if service in ONCE:
                ended = self.containers.run("podman", "wait", self.container(service)).strip()
                assert ended == "0", f"{service} ended with status {ended}"
                say(f"{service} is done")
        say("up; waiting for a picture")
        wait(lambda: status("/readyz") == 200)
        say(f"a picture of {picture()} bytes")
        for service in ("gateway", "triton-cpu"):
            self.containers.run("podman", "healthcheck", "run", self.container(service))
        say("gateway and Triton are healthy")
        wait(lambda: pictures_in_prometheus() > 0)
        say("Prometheus has seen it")
        triton = self.container("triton-cpu")
        self.containers.run("podman", "exec", triton, "bash", "-c", KILL_DENOISE)
        wait(lambda: self.restarts(triton) > 0)
        say("a killed stage ended Triton, which was started again")
        wait(lambda: status("/readyz") == 200)
        say(f"and makes a picture of {picture()} bytes")

    def container(self, service: str) -> str:
        """Its id."""
        label = f"label=com.docker.compose.service={service}"
        return self.containers.run("podman", "ps", "--all", "--quiet", "--filter", label).strip()

    def restarts(self, container: str) -> int:
        """How often `restart: unless-stopped` has started it again."""
        inspect = ("podman", "inspect", "--format", "{{.RestartCount}}", container)
        return int(self.containers.run(*inspect))

    def end(self) -> None:
        self.compose("down", "--volumes")


def status(path: str) -> int:
    try:
        return HTTP.get(f"{GATEWAY}{path}").status_code
    except httpx.TransportError:
        return 0


def picture() -> int:
    """Bytes of the answer."""
    files = {"image": file_of(photograph("rocket", 16, 16))}
    data = {"prompt": "a photo", "num_inference_steps": "2"}
    answer = HTTP.post(f"{GATEWAY}/upscale", files=files, data=data)
    assert answer.status_code == 200, answer.text
    return len(answer.content)


def pictures_in_prometheus() -> float:
    query = {"query": 'sum(upscale_requests_total{status="200"})'}
    try:
        answer = HTTP.get("http://127.0.0.1:9090/api/v1/query", params=query).json()
    except httpx.TransportError:  # it starts
        return 0.0
    return float(answer["data"]["result"][0]["value"][1]) if answer["data"]["result"] else 0.0


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(1)


def say(words: str) -> None:
    sys.stdout.write(f"{time.strftime('%X')} {words}\n")
    sys.stdout.flush()


def main() -> None:
    drill = Drill()
    drill.prepare()
    drill.end()  # what an interrupted one left
    try:
        drill.run()
    finally:
        if not os.environ.get("KEEP"):
            drill.end()


if __name__ == "__main__":
    main()
