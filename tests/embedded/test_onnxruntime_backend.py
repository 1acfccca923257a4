"""The backend over ONNX Runtime: requests to one batch and back."""

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
