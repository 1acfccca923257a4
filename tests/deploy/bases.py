"""What stands in for the images that ours begin from, made here of packages.

python:3.12 is Ubuntu 24.04, which has that Python. NVIDIA's two are the same with the CUDA
libraries that PyTorch was built with, in the place where NVIDIA has its own; tritonserver is that
of the wheel nvidia-pytriton (24.10, where 26.07 is wanted), with our backend for ONNX, as it has
none. No GPU, no TensorRT.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from embedded.wheel import BACKENDS, STAGES, Wheel
from tests.deploy.containers import Containers
from tests.deploy.dockerfile import DOCKER, ROOT, pins

UBUNTU = "noble"
PACKAGES = "python3.12,python3.12-venv,python3-pip,libpython3.12t64,curl,ca-certificates,binutils"
ENTRYPOINT = "nvidia_entrypoint.sh"  # of /opt/nvidia; NVIDIA's prepares more than this one
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON = "docker.io/library/python:3.12-slim-bookworm"
PYTHON_TO_BUILD = "docker.io/library/python:3.12-bookworm"
BUSYBOX = "docker.io/library/busybox:1.37"
TRITON = "nvcr.io/nvidia/tritonserver:26.07-py3"
TENSORRT = "nvcr.io/nvidia/tensorrt:26.07-py3"
UV = (Path(sys.executable).parent / "uv", "--quiet", "--no-config")
TARGET = ("--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_28")


def python_base(containers: Containers) -> None:
    """python:3.12, slim and not, and busybox."""
    if containers.has(PYTHON):
        return
    root = containers.folder / "ubuntu"
    if not (root / "usr/bin/curl").exists():
        shutil.rmtree(root, ignore_errors=True)
        options = ("--variant=minbase", f"--include={PACKAGES}", "--components=main,universe")
        # The script of every Ubuntu; a Debian has no keys of Ubuntu's.
        mirror = ("http://archive.ubuntu.com/ubuntu", "gutsy")
        containers.run("debootstrap", "--no-check-gpg", *options, UBUNTU, root, *mirror)
    for name in ("python", "python3"):
        link = root / "usr/local/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("/usr/bin/python3.12")
    # A container's Python is its own; and whom this machine trusts, it trusts.
    (root / "usr/lib/python3.12/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    shutil.copy2(f"/{CERTIFICATES}", root / CERTIFICATES)
    variables = {"PATH": PATH, "PIP_CERT": f"/{CERTIFICATES}"}
    containers.layer(PYTHON, "scratch", (root, "/"), **variables)
    for image in (PYTHON_TO_BUILD, BUSYBOX):
        containers.run("buildah", "tag", PYTHON, image)


def nvidia_base(containers: Containers) -> None:
    """NVIDIA's TensorRT, without TensorRT, and its tritonserver."""
    python_base(containers)
    if not containers.has(TENSORRT):
        containers.layer(
            TENSORRT,
            PYTHON,
            (cuda_libraries(containers.folder / "cuda"), "/usr/local/cuda/lib64"),
            (entrypoint(containers.folder / "nvidia"), "/opt/nvidia"),
            LD_LIBRARY_PATH="/usr/local/cuda/lib64",
        )
    if not containers.has(TRITON):
        server, packages = tritonserver(containers.folder / "tritonserver")
        containers.layer(
            TRITON,
            TENSORRT,
            (server, "/opt/tritonserver"),
            (packages, "/usr/local/lib/python3.12/dist-packages"),
            PATH=f"/opt/tritonserver/bin:{PATH}",
            LD_LIBRARY_PATH="/opt/tritonserver/libraries:/usr/local/cuda/lib64",
        )


def entrypoint(folder: Path) -> Path:
    """A folder with a script that becomes what its arguments say, as NVIDIA's does in the end."""
    folder.mkdir(exist_ok=True)
    script = folder / ENTRYPOINT
    script.write_text('#!/bin/bash\nexec "$@"\n')
    script.chmod(0o755)
    return folder


def cuda_libraries(folder: Path) -> Path:
    """Those of PyTorch's that our locks leave out, as NVIDIA's images have them, in one folder."""
    libraries = folder / "libraries"
    if not libraries.exists():
        torch = (ROOT / "requirements-torch.txt").read_text()
        options = ("--no-header", "--no-annotate", *TARGET)
        needed = uv("pip", "compile", *options, "-", stdin=torch)
        ours = pins(DOCKER / "requirements-triton.txt")
        left_out = [
            line
            for line in needed.splitlines()
            if re.match(r"nvidia-", line) and line.split("==")[0] not in ours
        ]
        assert left_out
        packages = folder / "packages"
        uv("pip", "install", "--no-deps", *TARGET, "--target", str(packages), *left_out)
        partial = folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for path in packages.glob("nvidia/*/lib/*.so*"):
            path.rename(partial / path.name)
        shutil.rmtree(packages)
        partial.rename(libraries)
    return libraries


def tritonserver(folder: Path) -> tuple[Path, Path]:
    """The wheel's server laid out as in NVIDIA's image, and Python packages beside it."""
    shutil.rmtree(folder, ignore_errors=True)
    server, packages = folder / "server", folder / "packages"
    wheel = Wheel.find()
    shutil.copytree(wheel.server.parent.parent, server, ignore=shutil.ignore_patterns("python"))
    shutil.copytree(wheel.libraries, server / "libraries")
    backends = server / "backends"
    shutil.copytree(wheel.backends / "python", backends / "python", dirs_exist_ok=True)
    stub = wheel.stub.parents[1] / "3.12" / wheel.stub.name
    shutil.copy2(stub, backends / "python" / wheel.stub.name)
    shutil.copytree(BACKENDS / "onnxruntime", backends / "onnxruntime", dirs_exist_ok=True)
    shutil.copytree(STAGES, backends / "onnxruntime" / "stages")
    version = pins(ROOT / "requirements.txt")["onnxruntime"]
    uv("pip", "install", *TARGET, "--target", str(packages), f"onnxruntime=={version}", "numpy<2")
    return server, packages


def uv(*arguments: str, stdin: str = "") -> str:
    result = subprocess.run(
        [*UV, *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
