"""The profile of a stage, over a stage of a few lines."""

import importlib.util
import json
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.stage_profile import BLS, FOLDER, WAITING, StageProfile, profiled

STAGE = """
import threading
import time
import queue

class TritonPythonModel:
    def initialize(self, args):
        self.work = queue.SimpleQueue()
        self.started = threading.Lock()
        self.started.acquire()
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()

    def execute(self, requests):
        self.prepare()
        return requests

    def prepare(self):
        time.sleep(0.05)

    def loop(self):
        self.step()
        self.started.acquire()  # waits until the test lets go

    def step(self):
        time.sleep(0.02)
"""


@pytest.fixture
def stage(tmp_path: Path) -> ModuleType:
    path = tmp_path / "repository" / "stage" / "1" / "model.py"
    path.parent.mkdir(parents=True)
    path.write_text(STAGE)
    spec = importlib.util.spec_from_file_location("stage_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_seconds_of_each_function_in_every_thread(
    stage: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    model = profiled(stage.TritonPythonModel)()
    try:
        model.initialize(
            {
                "model_repository": str(tmp_path / "repository" / "stage"),
                "model_version": "1",
                "model_name": "stage",
            }
        )
        time.sleep(0.1)
        assert model.execute([1]) == [1]
        [report] = tmp_path.glob("stage-*.json")
        seconds = json.loads(report.read_text())
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        model.started.release()
        model.thread.join()
    assert seconds["TritonPythonModel.prepare"] >= 0.05
    assert seconds["TritonPythonModel.step"] >= 0.02
    assert seconds["TritonPythonModel.execute"] < 0.05


def test_calls_elsewhere_are_own_time_but_for_bls_and_waiting(stage: ModuleType) -> None:
    class Request:
        exec = staticmethod(time.sleep)

    def own(profile: StageProfile) -> None:
        code = stage.TritonPythonModel.prepare.__code__
        for event, argument in (
            ("call", None),
            ("c_call", time.sleep),
            ("c_return", time.sleep),
            ("c_call", named(BLS)),
            ("c_return", named(BLS)),
            ("c_call", named(WAITING)),
            ("c_return", named(WAITING)),
            ("return", None),
        ):
            time.sleep(0.01)
            profile(Frame(code), event, argument)  # type: ignore[arg-type]

    profile = StageProfile(Path(stage.__file__ or "").parent)
    own(profile)
    assert profile.seconds[BLS] >= 0.01
    assert profile.seconds[WAITING] >= 0.01
    assert profile.seconds["TritonPythonModel.prepare"] >= 0.05


class Frame:
    """As much of a frame as the profile looks at."""

    def __init__(self, code: Any) -> None:
        self.f_code = code


def named(name: str) -> Any:
    def function() -> None: ...

    function.__name__ = name
    return function
