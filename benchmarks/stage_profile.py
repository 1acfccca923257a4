"""Where a Python stage spends its time, from within Triton's process for it.

`breakdown` adds to a copy of the stage: `TritonPythonModel = profiled(TritonPythonModel)`. After
every request the seconds of each function so far stand in a file of the folder that the environment
names. Here is the standard library only: the stub of a stage has no other packages to spare.
"""

import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

FOLDER = "UPSCALE_PROFILE"  # environment variable
BLS = "exec"  # the method of pb_utils.InferenceRequest
WAITING = "acquire"  # of a lock, where a thread waits for work
OUTSIDE = ""  # of the stage's own functions


class StageProfile:
    """Seconds of each function of a folder, without those that it calls in that folder.

    What a function calls elsewhere is its own time, but for BLS calls and waiting, which go by
    their names. Each thread needs one of its own: `sys.setprofile(StageProfile(...))`.
    """

    def __init__(self, folder: Path, on_wait: Callable[[], None] = lambda: None) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._folder = str(folder)
        self._on_wait = on_wait
        self._stack = [OUTSIDE]
        self._since = time.perf_counter()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            self._enter(self._name(frame.f_code))
        elif event == "return":
            self._leave()
        elif argument.__name__ in (BLS, WAITING):
            if event != "c_call":
                self._leave()
                return
            if argument.__name__ == WAITING:
                self._on_wait()
            self._enter(argument.__name__)

    def _name(self, code: CodeType) -> str:
        own = code.co_filename.startswith(self._folder)
        return code.co_qualname if own else self._stack[-1]

    def _enter(self, name: str) -> None:
        self._count()
        self._stack.append(name)

    def _leave(self) -> None:
        self._count()
        if len(self._stack) > 1:  # the first returns are of what began before the profile
            self._stack.pop()

    def _count(self) -> None:
        now = time.perf_counter()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now


def profiled(model: Any) -> Any:
    """The class of a stage, with `execute` and every thread that it starts under a profile."""

    class Profiled(model):  # type: ignore[misc]
        def initialize(self, args: dict[str, str]) -> None:
            folder = Path(args["model_repository"], args["model_version"])
            report = Path(os.environ[FOLDER], f"{args['model_name']}-{os.getpid()}.json")
            self._profiles: list[StageProfile] = []

            def write() -> None:
                seconds: dict[str, float] = defaultdict(float)
                for profile in self._profiles:
                    for name, value in list(profile.seconds.items()):
                        seconds[name] += value
                fresh = report.with_suffix(".new")
                fresh.write_text(json.dumps(seconds))
                fresh.rename(report)

            def begin(*_: Any) -> None:
                self._profiles.append(StageProfile(folder, write))
                sys.setprofile(self._profiles[-1])

            self._write = write
            self._profiles.append(StageProfile(folder))
            threading.setprofile(begin)
            super().initialize(args)

        def execute(self, requests: list[Any]) -> Any:
            sys.setprofile(self._profiles[0])
            try:
                return super().execute(requests)
            finally:
                sys.setprofile(None)
                self._write()

    return Profiled
