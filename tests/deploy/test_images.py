"""The images, as far as they can be held to their word without a container engine."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from embedded.triton import free_port
from tests.deploy.dockerfile import DOCKER, DOCKERFILES, ROOT, copied, instructions, locks, pins
from tests.server import Gateway

BIN = Path(sys.executable).parent
# python:3.12-slim-bookworm as `docker images` shows it, and the most that the image may take, 10^6
# bytes.
BASE_MB, LIMIT_MB = 125, 400


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    result = subprocess.run(
        [BIN / "hadolint", str(path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_is_copied_exists_and_is_sent_to_the_builder(path: Path) -> None:
    sent = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    assert copied(path)
    for source in copied(path):
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in sent, source
        assert tracked(source), f"{source} is not in git"


@pytest.mark.parametrize("name", ["export", "triton"])
def test_an_image_with_onnx_runtime_tells_nobody(name: str) -> None:
    variables = [
        text for step, text in instructions(DOCKER / f"{name}.Dockerfile") if step == "ENV"
    ]
    assert "ORT_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_TELEMETRY=1" in variables


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_nobody_and_installs_by_hash_only(path: Path) -> None:
    steps = instructions(path)
    assert [text for name, text in steps if name == "USER"] == ["10001:10001"]
    assert not any(name == "ADD" for name, _ in steps)
    assert locks(path)
    for lock in locks(path):
        assert f"docker/{lock.name}" in copied(path)
    installs = [
        part
        for name, text in steps
        if name == "RUN"
        for part in text.split("&&")
        if " install " in part
    ]
    for install in installs:
        assert "--require-hashes " in install or "--no-deps --no-build-isolation" in install


def test_nvidias_images_are_of_one_release_and_take_a_digest() -> None:
    tags = set()
    for name, image in (("triton", "tritonserver"), ("export", "tensorrt")):
        text = (DOCKER / f"{name}.Dockerfile").read_text()
        [tag] = re.findall(r"^ARG (?:TRITON|TENSORRT)_TAG=(\S+)$", text, re.MULTILINE)
        tags.add(tag)
        assert re.search(
            rf"^FROM nvcr.io/nvidia/{image}:\$\{{\w+_TAG\}}\$\{{\w+_DIGEST\}}$", text, re.M
        )
    assert len(tags) == 1


def test_versions_are_the_projects() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = (ROOT / "charts" / "upscale" / "Chart.yaml").read_text()
    assert f"appVersion: {version}\n" in chart
    texts = [*DOCKERFILES, DOCKER / "compose.yaml", ROOT / "docs" / "kubernetes.md"]
    tags = [tag for path in texts for tag in re.findall(r"upscale-\w+:(\S+)", path.read_text())]
    assert set(tags) == {version}


def test_stages_are_of_one_python() -> None:
    """Wheels are installed in one stage and copied to another."""
    texts = [path.read_text() for path in DOCKERFILES]
    tags = [tag for text in texts for tag in re.findall(r"_TAG=(3\S+)$", text, re.MULTILINE)]
    assert tags
    assert {tag.split("-")[0] for tag in tags} == {"3.12"}


@pytest.mark.parametrize(
    "lock", sorted(DOCKER.glob("requirements-*.txt")), ids=lambda path: path.name
)
def test_a_lock_has_the_versions_that_are_tested(lock: Path) -> None:
    tested = pins(ROOT / "requirements.txt") | pins(ROOT / "requirements-torch.txt")
    assert pins(lock)
    for package, version in pins(lock).items():
        if package in tested:
            assert version == tested[package], f"{package}: run `make image-locks`"
    text = lock.read_text()
    for entry in re.split(r"\n(?=[a-z0-9])", text.strip()):
        assert "--hash=sha256:" in entry, entry
    assert "://" not in text


def test_what_is_installed_here_is_pinned_by_hash_but_torch() -> None:
    text = (ROOT / "requirements.txt").read_text()
    for entry in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        assert "--hash=sha256:" in entry, entry
    assert set(pins(ROOT / "requirements-torch.txt")) == {"torch"}
    assert "--require-hashes -r requirements.txt" in (ROOT / "Makefile").read_text()


def test_the_gateway_has_no_torch() -> None:
    packages = set(pins(DOCKER / "requirements-gateway.txt"))
    assert not packages & {"torch", "diffusers", "transformers", "onnxruntime", "triton"}


@pytest.mark.parametrize("name", ["triton", "export", "gateway", "build"])
def test_a_lock_can_be_installed(name: str, tmp_path: Path) -> None:
    """For the image's Python, from the registry's own word; nothing is downloaded but metadata."""
    result = subprocess.run(
        [
            *(BIN / "uv", "pip", "install", "--dry-run", "--require-hashes", "--quiet"),
            *("--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_28"),
            *("--only-binary", ":all:", "--target", str(tmp_path)),
            *("-r", str(DOCKER / f"requirements-{name}.txt")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gateway's image without Debian: its lock and its sources, in a new environment."""
    folder = tmp_path_factory.mktemp("gateway")
    environment, app = folder / "upscale", folder / "app"
    app.mkdir()
    for source in copied(DOCKER / "gateway.Dockerfile"):
        if source.startswith("docker/"):
            continue  # locks and tools of the building
        for file in tracked(source):
            (app / file).parent.mkdir(parents=True, exist_ok=True)
            (app / file).write_bytes((ROOT / file).read_bytes())
    python = environment / "bin" / "python"
    lock, build = (DOCKER / f"requirements-{name}.txt" for name in ("gateway", "build"))
    for arguments in (
        ("venv", environment),
        ("pip", "install", "--python", python, "--require-hashes", "-r", lock),
        ("venv", folder / "build"),
        ("pip", "install", "--python", folder / "build", "--require-hashes", "-r", build),
    ):
        uv(*arguments)
    packages = next((environment / "lib").glob("python3*/site-packages"))
    subprocess.run([DOCKER / "trim.sh", packages], check=True)
    # As in the image, with a setuptools that stays behind.
    setuptools = next((folder / "build/lib").glob("python3*/site-packages"))
    uv(
        *("pip", "install", "--python", python, "--no-deps", "--no-build-isolation", "-e", app),
        environment={"PYTHONPATH": str(setuptools)},
    )
    return folder


def uv(*arguments: str | Path, environment: dict[str, str] | None = None) -> None:
    """pip's work in a tenth of its time."""
    command = [BIN / "uv", *arguments, "--quiet", "--no-config"]
    subprocess.run(command, check=True, env={**os.environ, **(environment or {})})


def tracked(*sources: str) -> list[str]:
    """The files of git among them."""
    command = [str(shutil.which("git")), "ls-files", *sources]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()


class Installed(Gateway):
    """`upscale gateway` of the image."""

    folder: Path

    def _command(self) -> list[str]:
        return [str(self.folder / "upscale/bin/upscale"), "gateway"]


def test_the_gateway_starts_from_its_lock_alone(image: Path) -> None:
    server = Installed(f"127.0.0.1:{free_port()}", PYTHONPATH="", PYTHONDONTWRITEBYTECODE="1")
    server.folder = image
    with server:
        assert server.get("/livez").status_code == 200
        ready = server.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "LOADING"})
        assert server.get("/version").json()["version"]
    listed = {path.name for path in (image / "upscale/lib").glob("python3*/site-packages/*")}
    assert not listed & {"torch", "pip", "setuptools"}


@pytest.mark.parametrize("command", ["image", "download"])
def test_the_chart_finds_its_other_commands_in_it(image: Path, command: str) -> None:
    result = subprocess.run(
        [image / "upscale/bin/upscale", command, "--help"],
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    if command == "download":  # and what it imports
        subprocess.run(
            [image / "upscale/bin/python", "-c", "import export.download"], check=True, cwd="/"
        )


def test_the_gateways_image_is_small(image: Path) -> None:
    """What the last stage copies, and the base."""
    size = sum(
        path.lstat().st_size
        for folder in ("upscale", "app")
        for path in (image / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"  # the image has none
    )
    total_mb = BASE_MB + size / 1e6
    assert total_mb < LIMIT_MB, f"{total_mb:.0f} MB"
