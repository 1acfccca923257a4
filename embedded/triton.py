"""One tritonserver process, from the wheel nvidia-pytriton, on loopback."""

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import psutil

from embedded.errors import TritonError
from embedded.leftovers import new_prefix, remove_by_prefix, remove_leftovers
from embedded.out_of_memory import oom_kills
from embedded.triton_log import why_it_failed
from embedded.wheel import STUB, Wheel, environment, lay_out_backends
from stages.machine import is_verified_on_cpu, machine_refusal

STOP_TIMEOUT_S = 40.0  # for what it works on; then it is killed
PR_SET_PDEATHSIG = 1  # prctl(2)
KERNEL_NAME_LENGTH = 15  # of a process; the kernel cuts it there


def is_stub(process: psutil.Process) -> bool:
    """Whether a process runs, or ran until it ended, a Python model.

    Triton has other children for some milliseconds: the shells that become stubs and those that
    ask for the Python's path. A stub that has ended keeps its name, but no path of its executable.
    """
    try:
        return process.name()[:KERNEL_NAME_LENGTH] == STUB[:KERNEL_NAME_LENGTH]
    except (psutil.Error, OSError):
        return False


def has_ended(process: psutil.Process) -> bool:
    """True too for one that its parent has not collected, as Triton does not.

    False where that cannot be seen, as when this process may open no more files.
    """
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except OSError:
        return False


class Triton:
    """A tritonserver that serves one model repository; a context manager.

    It is on loopback, with HTTP off and a random key before the APIs that change the server or map
    its memory, since this is Triton 2.51 (24.10), which has known holes.
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
        """repository: as `upscale export` wrote it. address: where it listens.

        grpc_port, metrics_port: 0 picks a free one. traces_url: where it sends its spans of
        requests that come with a `traceparent`; None: nowhere.
        """
        self.repository = repository
        self.address = address
        self.log_path = log_path
        self.grpc_port = grpc_port or free_port()
        self.metrics_port = metrics_port or free_port()
        self._traces_url = traces_url
        self._prefix = new_prefix()
        self._has_own_port = not grpc_port
        self._oom_kills = 0  # before the start
        self._log_start = 0  # bytes of the log that earlier starts have written
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
        if why := machine_refusal(self.repository):
            raise TritonError(why)
        if not self._has_own_port:
            refuse_taken(self.address, self.grpc_port)
        wheel = Wheel.find()
        remove_leftovers()
        self._oom_kills = oom_kills()
        backends = Path(tempfile.mkdtemp(prefix=self._prefix))
        lay_out_backends(wheel, backends)
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self._command(wheel, backends),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment(wheel, on_cpu=is_verified_on_cpu(self.repository)),
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
            children = psutil.Process(self._process.pid).children()
        except (psutil.Error, OSError):  # it has just ended; no file may be opened now
            return []
        return [process for process in children if is_stub(process)]

    def failure(self) -> TritonError:
        """Why it or one of its stubs ended, from its log."""
        status = self.ended()
        what = "One of its stubs ended" if status is None else how_it_ended(status)
        if oom_kills() > self._oom_kills:
            why = (
                "the kernel has ended a process because memory ran out. Give it more, or end what"
                " else takes it; docs/sizing.md says what a model needs."
            )
        else:
            why = why_it_failed(self.log_path, self._log_start)
        return TritonError(f"{what}: {why} Its whole log is {self.log_path}.")

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
        remove_by_prefix(self._prefix)


def how_it_ended(status: int) -> str:
    """status: of subprocess, which is negative for a signal."""
    if status < 0:
        return f"Triton was ended by {signal.Signals(-status).name}"
    return f"Triton ended with status {status}"


def refuse_taken(address: str, port: int) -> None:
    """Raise TritonError for a port that somebody listens at, before Triton has loaded all."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen()
        except OSError as error:
            raise TritonError(
                f"Triton's port {port} on {address} cannot be used: {error.strerror};"
                " --triton-grpc-port names another."
            ) from error


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


def end_with_parent() -> None:
    """In the child, before it starts: get SIGTERM when the process that started us dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
