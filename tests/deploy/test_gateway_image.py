"""The gateway's image, built by buildah from its Dockerfile and run as the chart runs it."""

from collections.abc import Iterator
from io import BytesIO

import httpx
import pytest
from PIL import Image

from embedded.triton import free_port
from tests.deploy.bases import python_base
from tests.deploy.containers import Containers
from tests.photographs import file_of, photograph
from tests.server import HTTP, Server, png_of, wait_until

pytestmark = pytest.mark.long

LIMIT_MB = 320  # of what is added to the base
# As in charts/upscale and docker/compose.yaml.
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp"),  # noqa: S108
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)
NAME = "upscale-gateway-test"


@pytest.fixture(scope="module")
def containers() -> Containers:
    return Containers()


@pytest.fixture(scope="module")
def image(containers: Containers) -> str:
    python_base(containers)
    return containers.build("gateway")


@pytest.fixture
def url(containers: Containers, image: str, server: Server) -> Iterator[str]:
    """A container in this machine's network, before a Triton of the wheel."""
    port = free_port()
    variables = ("--env", f"PORT={port}", "--env", f"TRITON_URL={server.triton_url}")
    options = ("--detach", "--name", NAME, "--network", "host", *variables, *HARDENED)
    containers.run("podman", "run", *options, image)
    yield f"http://127.0.0.1:{port}"
    containers.run("podman", "rm", "--force", "--time", "5", NAME)


def test_a_picture_comes_through_the_container(
    containers: Containers, url: str, server: Server
) -> None:
    user = containers.run("podman", "exec", NAME, "id", "-u").strip()
    assert user == "10001"
    wait_until(lambda: is_ready(url), 120)
    file = file_of(photograph("rocket", 16, 16))
    fields = {"prompt": "a photo", "seed": "0", "num_inference_steps": "2"}
    answer = HTTP.post(f"{url}/upscale", files={"image": file}, data=fields)
    assert answer.status_code == 200, answer.text
    assert Image.open(BytesIO(png_of(answer))).size == (64, 64)
    assert png_of(answer) == server.upscale(file, seed=0, num_inference_steps=2)
    # What is read from uploads above 1 MB passes through /tmp, and nothing else can be written.
    large = file + b"\0" * 2_000_000
    assert HTTP.post(f"{url}/upscale", files={"image": large}, data=fields).status_code == 200


def test_it_carries_what_it_runs_and_no_more(containers: Containers, image: str) -> None:
    sizes = containers.sizes_mb(image, "/opt/upscale", "/app")
    assert sum(sizes.values()) < LIMIT_MB, sizes
    run = ("podman", "run", "--rm", "--network", "none", "--entrypoint", "ls", image)
    assert "docker" not in containers.run(*run, "/app").split()
    packages = containers.run(*run, "/opt/upscale/lib/python3.12/site-packages").split()
    assert not {"pip", "setuptools", "torch", "pygments"} & set(packages)
    help_of = ("podman", "run", "--rm", "--network", "none", image, "image", "--help")
    assert "--num-inference-steps" in containers.run(*help_of), "without Pygments"


def is_ready(url: str) -> bool:
    try:
        return HTTP.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:  # it starts
        return False
