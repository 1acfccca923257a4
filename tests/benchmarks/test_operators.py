"""The time of an engine by ONNX Runtime's operators."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, save

from benchmarks.operators import Call, calls, rows


def test_only_the_runs_after_the_warm_up_count(tmp_path: Path) -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [8, 3, 3, 3], [0.1] * 216)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "one convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 8, 6])],
        [weights],
    )
    path = tmp_path / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    measured = calls(path, {"x": np.ones((1, 3, 8, 6), np.float32)}, 2)
    convolutions = [call for call in measured if call.operator == "Conv"]
    assert [call.multiplications for call in convolutions] == 2 * [8 * 6 * 8 * 3 * 3 * 3]
    assert all(call.seconds > 0 for call in measured)


def test_a_table_has_the_largest_and_the_rest() -> None:
    small = [Call(f"Small{i}", 0.001, 0) for i in range(10)]
    table = list(rows([Call("Conv", 0.05, 10**9), *small, Call("Conv", 0.04, 10**9)], runs=2))
    assert table[0] == ["Conv", "45.00", "90.0%", "44"]
    assert table[-1] == ["others", "1.50", "3.0%", ""]
    assert len(table) == 9
