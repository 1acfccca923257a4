"""The backend over ONNX Runtime: requests to one batch and back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.embedded.backends import load


def test_each_request_gets_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("onnxruntime", monkeypatch).TritonPythonModel()
    model.inputs, model.outputs = ["sample", "timestep"], ["out", "time"]
    rows: list[int] = []

    def engine(batch: dict[str, Any]) -> list[Any]:
        rows.append(len(batch["sample"]))
        return [2 * batch["sample"], batch["timestep"]]

    model.engine = engine
    requests: list[dict[str, Any]] = [
        {
            "sample": np.full((count, 1, 8, 8), count, np.float32),
            "timestep": np.full((count, 1), 10 * count, np.int64),
        }
        for count in (1, 3, 2)
    ]
    responses = model.execute(requests)
    assert rows == [6]
    for request, response in zip(requests, responses, strict=True):
        assert np.array_equal(response.arrays["out"], 2 * request["sample"])
        assert np.array_equal(response.arrays["time"], request["timestep"])


@pytest.mark.parametrize("warmup", [[], [{"name": "zeros"}]])
def test_what_nothing_warms_up_is_loaded_by_the_first_call(
    monkeypatch: pytest.MonkeyPatch, warmup: list[Any]
) -> None:
    """denoise runs the file of unet itself, so that its model would hold the weights again."""
    module = load("onnxruntime", monkeypatch)
    loaded: list[Path] = []

    def engine(path: Path, device: str, outputs: list[str]) -> Any:
        loaded.append(path)
        return lambda batch: [batch["sample"]]

    monkeypatch.setattr(module, "OnnxEngine", engine)
    model = module.TritonPythonModel()
    tensors = {"input": [{"name": "sample"}], "output": [{"name": "out"}], "model_warmup": warmup}
    model.initialize(
        {
            "model_config": json.dumps(tensors),
            "model_repository": "unet",
            "model_version": "1",
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }
    )
    assert len(loaded) == len(warmup)
    for _ in range(2):
        [response] = model.execute([{"sample": np.ones((1, 1), np.float32)}])
        assert response.arrays["out"].tolist() == [[1.0]]
    assert loaded == [Path("unet/1/model.onnx")]
