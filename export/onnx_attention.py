"""Attention as ONNX's plainest nodes: two matrix products and a softmax.

PyTorch's exporter turns the keys by way of three axes, and computes the sizes for that at every
call, by a dozen nodes.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from onnxscript import ir
from onnxscript import opset18 as op


def attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """`torch.nn.functional.scaled_dot_product_attention` of [batch, heads, tokens, channels].

    attn_mask: bool, True where a token is looked at, or float, which is added. Every token looks at
    one at least. Raises NotImplementedError for what our networks have no use for.
    """
    if dropout_p or is_causal or enable_gqa:
        raise NotImplementedError("attention with dropout, is_causal or groups of queries")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    # Half of it on either side, as PyTorch does: the products of float16 stay small.
    root = op.CastLike(math.sqrt(scale), query)
    scores = op.MatMul(op.Mul(query, root), op.Mul(op.Transpose(key, perm=[0, 1, 3, 2]), root))
    if attn_mask is not None and attn_mask.dtype == ir.DataType.BOOL:
        # Chosen, not added to: TensorRT-RTX 1.7.1 fails inside over a sum with -inf in float16.
        scores = op.Where(attn_mask, scores, op.CastLike(-math.inf, query))
    elif attn_mask is not None:
        scores = op.Add(scores, attn_mask)
    return op.MatMul(op.Softmax(scores, axis=-1), value)


# Of `torch.onnx.export`: what stands for an operator of PyTorch's.
TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten.scaled_dot_product_attention.default: attention
}
