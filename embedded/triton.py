"""One tritonserver process, from the wheel nvidia-pytriton, on loopback."""

import contextlib
import ctypes
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from stages import machine

BACKENDS = Path(__file__).parent / "backends"
STAGES = Path(__file__).parents[1] / "stages"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
PREFIX = "upscale"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
STOP_TIMEOUT_S = 40.0
PR_SET_PDEATHSIG = 1  # prctl(2)


class TritonError(Exception):
    """Triton could not be started or has ended; the message says why."""


@dataclass(frozen=True)
class Wheel:
    """The parts of the installed nvidia-pytriton that are used here."""

    server: Path
    backends: Path
    stub: Path
    libraries: Path

    @classmethod
    def find(cls) -> Self:
        """Raises TritonError when the wheel or its stub for this Python is missing."""
        spec = importlib.util.find_spec("pytriton")
        if spec is None or spec.origin is None:
            raise TritonError("nvidia-pytriton is not installed; `make venv` installs it.")
        package = Path(spec.origin).parent
        root = package / "tritonserver"
        stub = root / "python_backend_stubs" / PYTHON / "triton_python_backend_stub"
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


def has_ended(process: psutil.Process) -> bool:
    """Also when its parent has not collected it, as Triton does not.

    Not when that cannot be seen: where this process may open no more files, nobody has ended.
    """
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except OSError:
        return False


class Triton:
    """A tritonserver that serves one model repository; a context manager.

    repository: as `upscale export` wrote it. grpc_port, metrics_port: 0 picks a free one. address:
    where it listens. traces_url: where it sends its spans of requests that come with a
    `traceparent`; None: nowhere. It is on loopback, with HTTP off and a random key before the APIs
    that change the server or map its memory, since this is Triton 2.51 (24.10), which has known
    holes.
    """

    def __init__(
        self,
        repository: Path,
        log_path: Path,
        grpc_port: int = 0,
        metrics_port: int = 0,
        address: str = "127.0.0.1",
        traces_url: str | None = None,
    ) -> None:
        self.repository = repository
        self.address = address
        self.log_path = log_path
        self.grpc_port = grpc_port or free_port()
        self.metrics_port = metrics_port or free_port()
        self._traces_url = traces_url
        # Unique, so that two servers never meet in /dev/shm; with our process id, so that what a
        # killed one left there can be told from what a living one uses.
        self._prefix = f"{PREFIX}-{os.getpid()}-{secrets.token_hex(4)}-"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.address}:{self.grpc_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.address}:{self.metrics_port}/metrics"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process; it is not ready yet. Raises TritonError."""
        if not (self.repository / "upscale" / "config.pbtxt").is_file():
            raise TritonError(
                f"{self.repository} is no model repository; `upscale export` makes one."
            )
        if why := machine.refusal(self.repository):
            raise TritonError(why)
        wheel = Wheel.find()
        sweep()
        backends = Path(tempfile.mkdtemp(prefix=self._prefix))
        lay_out_backends(wheel, backends)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(wheel, backends),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment(wheel),
                start_new_session=True,  # Ctrl-C is for us; we stop Triton in our own order
                preexec_fn=end_with_parent,  # noqa: PLW1509 (one prctl call, no lock)
            )

    def _command(self, wheel: Wheel, backends: Path) -> list[str]:
        options = {
            "model-repository": self.repository,
            "backend-directory": backends,
            "allow-http": "false",
            "grpc-address": self.address,
            "grpc-port": self.grpc_port,
            "metrics-address": self.address,
            "metrics-port": self.metrics_port,
            "exit-timeout-secs": int(STOP_TIMEOUT_S) - 10,
            "disable-auto-complete-config": None,
            "grpc-restricted-protocol": (
                f"model-repository,shared-memory,logging,trace:admin-key={secrets.token_hex(16)}"
            ),
        }
        command = [str(wheel.server)]
        command += [f"--{k}" if v is None else f"--{k}={v}" for k, v in options.items()]
        if self._traces_url is not None:
            command += [f"--trace-config={setting}" for setting in self._tracing(self._traces_url)]
        return [*command, f"--backend-config=python,shm-region-prefix-name={self._prefix}"]

    def _tracing(self, url: str) -> list[str]:
        """https://github.com/triton-inference-server/server/blob/main/docs/user_guide/trace.md"""
        return [
            "mode=opentelemetry",
            "level=TIMESTAMPS",
            "rate=0",  # of requests without a traceparent
            f"opentelemetry,url={url}",
            "opentelemetry,resource=service.name=triton",
        ]

    def ended(self) -> int | None:
        """The exit status of the process, or None while it runs."""
        return self._process.poll() if self._process else None

    def stubs(self) -> list[psutil.Process]:
        """The processes that run its Python models; it never starts one again."""
        if self._process is None or self.ended() is not None:
            return []
        try:
            return psutil.Process(self._process.pid).children()
        except OSError:  # no file may be opened now
            return []

    def failure(self) -> TritonError:
        """Why it or one of its stubs ended, from its log."""
        status = self.ended()
        what = "One of its stubs ended" if status is None else f"Triton ended with status {status}"
        return TritonError(f"{what}: {reason(self.log_path)} Its whole log is {self.log_path}.")

    def stop(self) -> None:
        """Let the process finish what it works on, then as `kill`."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """End the process and its stubs, and remove what they left in /dev/shm and /tmp."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        remove_traces(self._prefix)


def lay_out_backends(wheel: Wheel, folder: Path) -> None:
    """A backend directory with the wheel's Python backend, this Python's stub and our backends.

    The stub must be a real file beside libtriton_python.so; Triton refuses a link.
    """
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(wheel.backends / "python", folder / "python", ignore=ignore)
    shutil.copy2(wheel.stub, folder / "python" / "triton_python_backend_stub")
    for backend in sorted(path for path in BACKENDS.iterdir() if (path / "model.py").is_file()):
        shutil.copytree(backend, folder / backend.name, ignore=ignore)
        # A backend is a folder of its own.
        shutil.copytree(STAGES, folder / backend.name / "stages", ignore=ignore)


def environment(wheel: Wheel) -> dict[str, str]:
    """The stub links libpython and asks the `python3` on PATH for packages: both are this one's."""
    libraries = [str(wheel.libraries), str(sysconfig.get_config_var("LIBDIR"))]
    libraries += filter(None, [os.environ.get("LD_LIBRARY_PATH")])
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "HF_HUB_OFFLINE": "1",
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nobody is given but who asks for it, while this process lives.

    Its socket stays bound and never listens: the kernel hands the port to no other bind or connect,
    who connects is refused, and a server that sets SO_REUSEADDR, as Triton does, can have it.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
        holder.detach()  # not closed
        return port


def reason(log_path: Path) -> str:
    """The line of Triton's log that a person needs."""
    lines = log_path.read_text(errors="replace").splitlines()
    if any("libpython" in line for line in lines):
        return f"its stub needs libpython{PYTHON}.so.1.0 (Debian: apt install libpython{PYTHON})."
    errors = [line for line in lines if line.startswith("E")]
    failed = [line for line in errors if "failed to load" in line]
    return (failed or errors or lines or ["it said nothing."])[0]


def sweep() -> None:
    """Remove what servers left whose starting process is gone: kill -9 leaves its traces."""
    for folder in (SHARED_MEMORY, Path(tempfile.gettempdir())):
        for path in folder.glob(f"{PREFIX}-*-*"):
            pid = path.name.split("-")[1]
            if pid.isdigit() and not Path("/proc", pid).exists():
                remove_traces(path.name)


def remove_traces(prefix: str) -> None:
    """Remove the shared memory and the temporary folders whose names begin with this."""
    assert prefix.startswith(f"{PREFIX}-")  # what follows deletes: never by a name that is not ours
    for path in SHARED_MEMORY.glob(f"{prefix}*"):
        path.unlink(missing_ok=True)
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(path)


def end_with_parent() -> None:
    """In the child, before it starts: get SIGTERM when the process that started us dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
