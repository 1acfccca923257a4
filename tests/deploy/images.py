"""`make images`: build the three images and hold each to what it must be. For a person, not pytest.

A release is checked so; it needs 20 GB of disk and the packages of tests/deploy/containers.py.
"""

import argparse
import sys

from tests.deploy.bases import nvidia_base, python_base
from tests.deploy.containers import Containers

# What an image adds to its base, 10^6 bytes, and what must work in it.
FOLDERS = {
    "gateway": ("/opt/upscale", "/app"),
    "triton": ("/opt/stages", "/opt/upscale"),
    "export": ("/opt/export", "/app"),
}
LIMITS_MB = {"gateway": 320, "triton": 2400, "export": 3300}
IMPORTS = {
    "gateway": "import export.download, gateway.app, cli.__main__",
    "triton": "import PIL, tokenizers, torch, onnxruntime as ort;"
    " assert 'CUDAExecutionProvider' in ort.get_available_providers()",
    "export": "import diffusers, onnx, onnxruntime, onnxscript, torch, transformers, cli.export",
}
# ONNX Runtime's part for GPUs loads these by name; libcuda comes with the driver.
CUDA_PROVIDER = "/opt/stages/onnxruntime/capi/libonnxruntime_providers_cuda.so"
OF_THE_DRIVER = {"libcuda.so.1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(FOLDERS)}; default: all")
    names = parser.parse_args().names or list(FOLDERS)
    if unknown := set(names) - set(FOLDERS):
        parser.error(f"there is no image {', '.join(unknown)}, only {', '.join(FOLDERS)}")
    containers = Containers()
    python_base(containers)
    for name in names:
        if name != "gateway":
            nvidia_base(containers)
        image = containers.build(name)
        python = "python" if name == "gateway" else "python3"
        hardened = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")  # noqa: S108
        run = ("podman", "run", "--rm", "--network", "none", *hardened, "--entrypoint", python)
        containers.run(*run, image, "-c", IMPORTS[name])
        if name == "triton":
            assert lacking(containers, image) == OF_THE_DRIVER
        sizes = containers.sizes_mb(image, *FOLDERS[name])
        total = sum(sizes.values())
        sys.stdout.write(f"{image}: {total:.0f} MB beside its base {sizes}\n")
        assert total < LIMITS_MB[name], f"{image} takes {total:.0f} MB of {LIMITS_MB[name]}"


def lacking(containers: Containers, image: str) -> set[str]:
    """The libraries that ONNX Runtime needs for a GPU and that neither image nor base has."""
    run = ("podman", "run", "--rm", "--network", "none", "--entrypoint", "ldd", image)
    lines = containers.run(*run, CUDA_PROVIDER).splitlines()
    return {line.split()[0] for line in lines if line.endswith("not found")}


if __name__ == "__main__":
    main()
