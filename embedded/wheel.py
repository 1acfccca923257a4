"""The parts of the installed nvidia-pytriton, and what Triton needs around them."""

import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from embedded.errors import TritonError

BACKENDS = Path(__file__).parent / "backends"
STAGES = Path(__file__).parents[1] / "stages"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
STUB = "triton_python_backend_stub"


@dataclass(frozen=True)
class Wheel:
    """The paths of what is used here of the wheel."""

    server: Path  # the executable
    backends: Path  # the folder with the Python backend
    stub: Path  # the executable that runs a Python model, for this Python
    libraries: Path  # the folder of the shared libraries

    @classmethod
    def find(cls) -> Self:
        """Raises TritonError when the wheel or its stub for this Python is missing."""
        spec = importlib.util.find_spec("pytriton")
        if spec is None or spec.origin is None:
            raise TritonError("nvidia-pytriton is not installed; `make venv` installs it.")
        package = Path(spec.origin).parent
        root = package / "tritonserver"
        stub = root / "python_backend_stubs" / PYTHON / STUB
        if not stub.is_file():
            raise TritonError(
                f"nvidia-pytriton has no stub for Python {PYTHON}; use Python 3.11 or 3.12."
            )
        return cls(
            server=root / "bin" / "tritonserver",
            backends=root / "backends",
            stub=stub,
            libraries=package.parent / "nvidia_pytriton.libs",
        )


def lay_out_backends(wheel: Wheel, folder: Path) -> None:
    """A backend directory with the wheel's Python backend, this Python's stub and our backends.

    The stub must be a real file beside libtriton_python.so; Triton refuses a link.
    """
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(wheel.backends / "python", folder / "python", ignore=ignore)
    shutil.copy2(wheel.stub, folder / "python" / STUB)
    for backend in sorted(path for path in BACKENDS.iterdir() if (path / "model.py").is_file()):
        shutil.copytree(backend, folder / backend.name, ignore=ignore)
        # A backend is a folder of its own.
        shutil.copytree(STAGES, folder / backend.name / "stages", ignore=ignore)


def environment(wheel: Wheel, *, on_cpu: bool = True) -> dict[str, str]:
    """The stub links libpython and asks the `python3` on PATH for packages: both are this one's.

    on_cpu: hides GPUs, as for engines that were verified without one.
    """
    libraries = [str(wheel.libraries), str(sysconfig.get_config_var("LIBDIR"))]
    libraries += filter(None, [os.environ.get("LD_LIBRARY_PATH")])
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "HF_HUB_OFFLINE": "1",
        **({"CUDA_VISIBLE_DEVICES": ""} if on_cpu else {}),
    }
