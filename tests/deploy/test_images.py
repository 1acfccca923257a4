"""The images, as far as they can be held to their word without a container engine."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from embedded.triton import free_port
from tests.deploy.dockerfile import DOCKER, DOCKERFILES, ROOT, copied, instructions, locks, pins
from tests.gateway.test_serve import LOADING
from tests.server import Gateway

BIN = Path(sys.executable).parent
LOCKS = sorted(ROOT.glob("requirements*.txt"))
# python:3.12-slim-bookworm as `docker images` shows it, and the most that the image may take, 10^6
# bytes.
BASE_MB, LIMIT_MB = 125, 400
ENTRYPOINT = "/opt/nvidia/nvidia_entrypoint.sh"


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
def test_an_image_has_no_more_of_the_sources_than_it_runs(path: Path) -> None:
    assert not {"benchmarks", "demo", "embedded", "tests"} & set(copied(path))


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
    tested = {name: version for path in LOCKS for name, version in pins(path).items()}
    assert pins(lock)
    for package, version in pins(lock).items():
        if package in tested:
            assert version == tested[package], f"{package}: run `make image-locks`"
    text = lock.read_text()
    for entry in re.split(r"\n(?=[a-z0-9])", text.strip()):
        assert "--hash=sha256:" in entry, entry
    assert "://" not in text


def test_what_is_installed_here_is_pinned_once_and_by_hash_but_torch() -> None:
    makefile = (ROOT / "Makefile").read_text()
    pinned = [name for path in LOCKS for name in pins(path)]
    assert len(pinned) == len(set(pinned))
    for path in LOCKS:
        if set(pins(path)) == {"torch"}:
            continue
        for entry in re.split(r"\n(?=[A-Za-z0-9])", path.read_text().strip()):
            assert "--hash=sha256:" in entry, entry
        assert f"--require-hashes -r {path.name}\n" in makefile


def test_what_runs_has_nothing_that_only_tests_need() -> None:
    run, tested = (pins(ROOT / name) for name in ("requirements.txt", "requirements-test.txt"))
    only_tested = {"atheris", "playwright", "moto", "schemathesis", "pytest", "matplotlib"}
    assert only_tested <= set(tested)
    assert not only_tested & set(run)
    assert not [name for name in run if re.match(r"cuda-|nvidia-c|triton$", name)]


def test_the_gateway_has_no_torch() -> None:
    packages = set(pins(DOCKER / "requirements-gateway.txt"))
    assert not packages & {"torch", "diffusers", "transformers", "onnxruntime", "triton"}


@pytest.mark.parametrize(("name", "script"), [("triton", "serve.sh"), ("export", "export.sh")])
def test_nvidias_entrypoint_comes_first(name: str, script: str) -> None:
    """It brings CUDA's forward compatibility; one that is missing there ends the build."""
    steps = instructions(DOCKER / f"{name}.Dockerfile")
    [entrypoint] = [json.loads(text) for step, text in steps if step == "ENTRYPOINT"]
    assert entrypoint == [ENTRYPOINT, f"/opt/upscale/{script}"]
    assert ("RUN", f'["test", "-x", "{ENTRYPOINT}"]') in steps


NVIDIA_LACKS = {"nvidia-cufile", "nvidia-cusparselt-cu13", "nvidia-nvshmem-cu13"}


@pytest.mark.parametrize("name", ["triton", "export"])
def test_pytorch_brings_no_library_that_nvidias_container_has(name: str) -> None:
    """3.6 GB of the image; a RUN line of the Dockerfile finds one that is missing."""
    packages = set(pins(DOCKER / f"requirements-{name}.txt")) - {"nvidia-ml-py"}
    assert "torch" in packages
    assert {p for p in packages if p.startswith(("nvidia-", "cuda-toolkit"))} == NVIDIA_LACKS
    # The compiler of kernels is for AOTInductor's exports.
    assert ("triton" in packages) is (name == "export")
    steps = instructions(DOCKER / f"{name}.Dockerfile")
    assert ("RUN", '["python3", "-c", "import torch"]') in steps[-5:]
    assert any("--no-deps --require-hashes" in text for step, text in steps if step == "RUN")


def test_denoise_has_onnx_runtime_with_cuda_of_pytorchs_release() -> None:
    """So it runs the UNet itself, in NVIDIA's container too, and needs no second CUDA there."""
    packages = pins(DOCKER / "requirements-triton.txt")
    assert "onnxruntime" not in packages, "the same module without CUDA"
    release = tuple(map(int, packages["onnxruntime-gpu"].split(".")))
    assert release >= (1, 27), "built with CUDA 12 before"
    assert packages["cuda-bindings"].startswith("13."), "PyTorch's CUDA"


@pytest.mark.images
@pytest.mark.parametrize("name", ["triton", "export", "gateway", "build"])
def test_a_lock_can_be_installed(name: str, tmp_path: Path) -> None:
    """For the image's Python, from the registry's own word; nothing is downloaded but metadata.

    Those of NVIDIA's images as they are installed: without what is in the image already.
    """
    options = ("--no-deps",) if name in ("triton", "export") else ()
    result = subprocess.run(
        [
            *(BIN / "uv", "pip", "install", "--dry-run", "--require-hashes", "--quiet"),
            *("--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_28"),
            *("--only-binary", ":all:", "--target", str(tmp_path), *options),
            *("-r", str(DOCKER / f"requirements-{name}.txt")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gateway's image without Debian: its Dockerfile's own lines, in a folder."""
    folder = tmp_path_factory.mktemp("image")
    Replay(DOCKER / "gateway.Dockerfile", folder).run("build")
    return folder


class Replay:
    """The steps of one stage of a Dockerfile, with absolute paths moved below a folder.

    The Python is the one of these tests, and pip may keep what it has downloaded.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self._steps = instructions(path)
        self._folder = folder
        self._place = folder
        self._environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": os.environ["HOME"]}

    def run(self, stage: str) -> None:
        """From its FROM to the next one's."""
        names = [text.split()[-1] for name, text in self._steps if name == "FROM"]
        number = -1
        for name, text in self._steps:
            number += name == "FROM"
            if number >= 0 and names[number] == stage and name != "FROM":
                getattr(self, f"_{name.lower()}")(text)

    def _env(self, text: str) -> None:
        pairs = dict(word.split("=", 1) for word in shlex.split(text))
        pairs.pop("PIP_NO_CACHE_DIR", None)
        self._environment |= pairs

    def _workdir(self, text: str) -> None:
        self._place = self._folder / text.lstrip("/")
        self._place.mkdir(parents=True, exist_ok=True)

    def _copy(self, text: str) -> None:
        *sources, target = text.split()
        for source in sources:
            for file in tracked(source):
                inside = Path(file).relative_to(source) if file != source else Path(source).name
                place = self._place / target
                place = place if file == source and not target.endswith("/") else place / inside
                if target == "./":
                    place = self._place / Path(source).name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, place)

    def _run(self, text: str) -> None:
        minor = f"python3.{sys.version_info.minor}"
        moved = re.sub(r"(^|\s)/(?=opt/|app)", rf"\1{self._folder}/", text)
        result = subprocess.run(
            ["/bin/sh", "-ec", moved.replace("python3.12", minor)],
            cwd=self._place,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"RUN {text}\n{result.stdout}\n{result.stderr}"


def tracked(*sources: str) -> list[str]:
    """The files of git among them."""
    command = [str(shutil.which("git")), "ls-files", *sources]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()


class Installed(Gateway):
    """`upscale gateway` of the image."""

    folder: Path

    def _command(self) -> list[str]:
        return [str(self.folder / "opt/upscale/bin/upscale"), "gateway"]


@pytest.mark.images
def test_the_gateway_starts_from_its_lock_alone(image: Path) -> None:
    server = Installed(f"127.0.0.1:{free_port()}", PYTHONPATH="", PYTHONDONTWRITEBYTECODE="1")
    server.folder = image
    with server:
        assert server.get("/livez").status_code == 200
        ready = server.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, LOADING)
        assert server.get("/version").json()["version"]
    packages = (image / "opt/upscale/lib").glob("python3*/site-packages/*")
    assert not {path.name for path in packages} & {"torch", "pip", "setuptools", "pygments"}
    assert not (image / "app/docker").exists()


@pytest.mark.images
@pytest.mark.parametrize("command", ["bench", "serve"])
def test_it_offers_only_what_it_can_do(image: Path, command: str) -> None:
    result = subprocess.run(
        [image / "opt/upscale/bin/upscale", command],
        env={**os.environ, "PYTHONPATH": "", "TYPER_USE_RICH": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert f"No such command '{command}'" in result.stderr


@pytest.mark.images
@pytest.mark.parametrize("command", ["image", "download"])
def test_the_chart_finds_its_other_commands_in_it(image: Path, command: str) -> None:
    result = subprocess.run(
        [image / "opt/upscale/bin/upscale", command, "--help"],
        env={**os.environ, "PYTHONPATH": "", "TYPER_USE_RICH": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    if command == "download":  # and what it imports
        subprocess.run(
            [image / "opt/upscale/bin/python", "-c", "import export.download"], check=True, cwd="/"
        )


@pytest.mark.images
def test_the_gateways_image_is_small(image: Path) -> None:
    """What the last stage copies, and the base."""
    size = sum(
        path.lstat().st_size
        for folder in ("opt", "app")
        for path in (image / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"  # the image has none
    )
    total_mb = BASE_MB + size / 1e6
    assert total_mb < LIMIT_MB, f"{total_mb:.0f} MB"
