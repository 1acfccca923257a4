"""Reshapes of an ONNX graph that compute what is known: their shape becomes a constant.

PyTorch's exporter spells every free size out, so that a reshape that only splits the channels asks
for the sizes of its input, by four nodes each, at every call.
"""

from typing import Any

import numpy as np
from onnxscript import ir
from onnxscript.ir.passes import common

COPIED, REST = 0, -1  # in a Reshape's shape: the input's size on that axis; what is left


def make_shapes_static(model: ir.Model) -> None:
    """Change the graph in place; what nothing needs any more is removed from it."""
    for node in list(model.graph):
        if node.op_type != "Reshape" or node.inputs[1] is None:
            continue
        if node.inputs[1].const_value is not None:
            continue
        given, made = node.inputs[0], node.outputs[0]
        if given is None or given.shape is None or made.shape is None:
            continue
        shape = static_shape(list(given.shape), list(made.shape))
        if shape is None:
            continue
        constant = ir.Value(
            name=f"{made.name}_shape",
            const_value=ir.tensor(np.array(shape, np.int64), name=f"{made.name}_shape"),
            type=ir.TensorType(ir.DataType.INT64),
            shape=ir.Shape([len(shape)]),
        )
        model.graph.register_initializer(constant)
        node.replace_input_with(1, constant)
        node.attributes.pop("allowzero", None)  # with it 0 is a size
    common.RemoveUnusedNodesPass()(model)


def static_shape(given: list[Any], made: list[Any]) -> list[int] | None:
    """The shape that a Reshape needs, without sizes that are free; None where it needs them.

    given, made: sizes of its input and output, numbers or names; equal names are equal sizes.
    """
    shape = []
    for axis, size in enumerate(made):
        if isinstance(size, int):
            shape.append(size)
        elif axis < len(given) and str(given[axis]) == str(size) != "None":
            shape.append(COPIED)
        else:
            shape.append(REST)
    return shape if shape.count(REST) <= 1 else None
