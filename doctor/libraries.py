"""The installed packages against the versions that pyproject.toml asks for."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnxruntime
import torch
from packaging.requirements import Requirement

from doctor.finding import Finding, good, missing, wrong

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
PARTS = {"": "upscale", "stages": "stages", "export": "export", "embedded": "embedded"}
# One module in two packages, of which one is installed.
TWINS = {"onnxruntime": "onnxruntime-gpu"}


def look_at_libraries(device: str) -> list[Finding]:
    """One finding for each part of the package, then PyTorch and ONNX Runtime by themselves."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    wanted = {"": project["dependencies"], **project["optional-dependencies"]}
    # The wheel's Triton and what goes with it: NVIDIA's containers have their own.
    parts = [part for part in PARTS if part != "embedded" or (PYPROJECT.parent / part).is_dir()]
    found = [compare(f"packages of {PARTS[part]}", wanted[part]) for part in parts]
    return [*found, look_at_torch(device), look_at_onnxruntime(device)]


def compare(subject: str, requirements: list[str]) -> Finding:
    """The requirements, like `numpy>=1.26`, against what is installed."""
    unmet = []
    for text in requirements:
        requirement = Requirement(text)
        installed = version_of(requirement.name)
        if installed is None:
            unmet.append(f"{requirement} is not installed")
        elif not requirement.specifier.contains(installed, prereleases=True):
            unmet.append(f"{requirement} is needed and {installed} installed")
    if unmet:
        return wrong(subject, f"{'; '.join(unmet)}. Install what requirements.txt pins.")
    return good(subject, f"All {len(requirements)} are installed, in versions that fit.")


def version_of(name: str) -> str | None:
    """Of an installed package, or of its twin; None without either."""
    for candidate in filter(None, (name, TWINS.get(name))):
        try:
            return version(candidate)
        except PackageNotFoundError:
            continue
    return None


def look_at_torch(device: str) -> Finding:
    """PyTorch's CUDA and cuDNN."""
    name = f"PyTorch {torch.__version__}"
    if torch.version.cuda is None:
        return missing(
            "PyTorch",
            device,
            f"{name} has no CUDA. For a GPU install it with CUDA (`make run` without"
            " TORCH_BACKEND=cpu).",
        )
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return good("PyTorch", f"{name}, CUDA {torch.version.cuda}, cuDNN {cudnn}.")


def look_at_onnxruntime(device: str) -> Finding:
    """Whether ONNX Runtime has CUDA; whether that can be used is seen where engines are loaded."""
    name = f"ONNX Runtime {onnxruntime.__version__}"
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return good("ONNX Runtime", f"{name}, with CUDA.")
    return missing(
        "ONNX Runtime",
        device,
        f"{name} has no CUDA. For a GPU put onnxruntime-gpu in its place (the extra `gpu`);"
        " NVIDIA's container brings a backend of its own.",
    )
