"""Attention in ONNX Runtime against PyTorch's, and the nodes that it takes."""

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from export.exactness import measure
from export.networks import Network
from export.onnx_engine import export_onnx, load_onnx


class Attention(nn.Module):
    """Self-attention of [batch, tokens, 32] in four heads, as a transformer's."""

    def __init__(self, mask: Tensor | None) -> None:
        super().__init__()
        self.query = nn.Linear(32, 32)
        self.mask = mask

    def forward(self, x: Tensor) -> Tensor:
        rows = x.shape[0]
        heads = self.query(x).view(rows, -1, 4, 8).transpose(1, 2)
        attended = nn.functional.scaled_dot_product_attention(
            heads, heads, 2 * heads, attn_mask=self.mask
        )
        return attended.transpose(1, 2).reshape(rows, -1, 32)


TOKENS = 12
CAUSAL = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()
ADDED = torch.zeros(TOKENS, TOKENS).masked_fill(~CAUSAL, -torch.inf)


@pytest.mark.parametrize("mask", [None, CAUSAL, ADDED], ids=["none", "bool", "float"])
def test_it_is_pytorchs_in_the_fewest_nodes(mask: Tensor | None, tmp_path: Path) -> None:
    """As the export writes it and ONNX Runtime reads it."""

    def inputs(_: object, rows: int, height: int, width: int) -> dict[str, Tensor]:
        return {"x": torch.randn(rows, height + width if mask is None else TOKENS, 32)}

    axes: dict[int, Any] = {0: Dim("batch", min=1, max=32)}
    if mask is None:
        axes[1] = Dim("tokens", min=1, max=300)
    module = Attention(mask).eval().requires_grad_(False)
    network = Network("attention", lambda _: module, inputs, {"x": axes}, "out")
    path, optimized = tmp_path / "model.onnx", tmp_path / "optimized.onnx"
    checkpoint: Any = None
    export_onnx(network, module, checkpoint, path)
    assert measure(network, module, checkpoint, load_onnx(network, path)).error < 1e-5
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(optimized)
    # Beyond this it rearranges for the processor that it is on.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    assert Counter(node.op_type for node in onnx.load(optimized).graph.node) == {
        **{"MatMul": 1, "FusedMatMul": 2, "Softmax": 1},  # scales are in the products
        **{"Reshape": 2, "Transpose": 3},  # by constants
        "Add": 2 if mask is ADDED else 1,
        **({"Where": 1} if mask is CAUSAL else {}),
    }
