"""ONNX Runtime's wheel notes down what it does, to send it away; not when this project runs it."""

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

OURS = ("stages.engines", "export.onnx_engine", "benchmarks.load", "embedded.triton")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("telemetry") / "model.onnx"
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path
    )
    return path


def notes(home: Path, module: str, model: Path) -> list[Path]:
    """What a session leaves in a home of its own, in a process that imports a module before.

    Nothing of the environment but PATH comes along: where CI, GITHUB_ACTIONS, TF_BUILD or the like
    are set, ONNX Runtime notes nothing of itself, and nothing would be shown.
    """
    code = (
        f"import {module}, onnxruntime, time;"
        f"onnxruntime.InferenceSession({str(model)!r}, providers=['CPUExecutionProvider']);"
        "time.sleep(2)"  # it is noted on a thread of its own
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return list(home.rglob(".onnxruntime"))


@pytest.mark.parametrize("module", OURS)
def test_a_session_of_ours_notes_nothing(tmp_path: Path, model: Path, module: str) -> None:
    assert notes(tmp_path, module, model) == []


def test_a_session_of_others_does(tmp_path: Path, model: Path) -> None:
    assert notes(tmp_path, "json", model), "then the tests above show nothing any more"
