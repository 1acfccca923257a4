"""A network as ONNX, and ONNX Runtime to check the file."""

import gc
import os
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from onnxscript import ir
from torch import nn

from export.checkpoint import Checkpoint
from export.errors import ExportError
from export.exactness import EXPORT_SIZE, Run, seeded_inputs
from export.networks import Inputs, Network
from export.onnx_attention import TRANSLATIONS
from export.static_shapes import make_shapes_static
from stages.engines import OnnxEngine

OPSET = 20
BF16_OPSET = 22  # the first whose convolutions take bfloat16
# Weights inside of the file are read, parsed and copied, in the export and wherever it is loaded:
# 1400 MiB for a text encoder that takes 1140 from a file beside it, which is mapped.
MAX_INLINE_BYTES = 64 * 2**20


def export_onnx(network: Network, module: nn.Module, checkpoint: Checkpoint, path: Path) -> None:
    """Write an ONNX file, large weights beside it as external data.

    Those of a part of another network are that one's, where its file lies in the same repository.
    """
    inputs = seeded_inputs(network, checkpoint, EXPORT_SIZE)
    in_bf16 = any(p.dtype == torch.bfloat16 for p in module.parameters())
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter's own libraries warn about themselves; nothing in it is about this network.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            kwargs=inputs,
            dynamo=True,
            opset_version=BF16_OPSET if in_bf16 else OPSET,
            dynamic_shapes=network.dynamic,
            input_names=list(inputs),
            output_names=network.outputs,
            verbose=False,
            optimize=True,
            custom_translation_table=TRANSLATIONS,
        )
    assert program is not None
    make_shapes_static(program.model)
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    whole = path.parents[2] / network.of / path.parent.name / path.name
    if network.of and whole.is_file():
        share_weights(program.model, whole, path)
        ir.save(program.model, path)
    else:
        program.save(path, external_data=size > MAX_INLINE_BYTES or bool(network.beside))
    del program
    gc.collect()  # its graphs refer to each other, and to copies of weights


def share_weights(model: ir.Model, whole: Path, path: Path) -> None:
    """Have a graph's weights be those of another, in whose external data they are.

    whole, path: of the other and of this one. The data get a second name beside this one, as ONNX
    Runtime takes none from outside of a graph's folder; a repository that is copied may have them
    twice.
    """
    others: dict[Any, list[ir.ExternalTensor]] = defaultdict(list)
    for value in ir.load(whole).graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            others[value.const_value.dtype, str(value.const_value.shape)].append(value.const_value)
    for value in model.graph.initializers.values():
        if (own := value.const_value) is None:
            continue
        same = (it for it in others[own.dtype, str(own.shape)] if it.tobytes() == own.tobytes())
        if found := next(same, None):
            value.const_value = ir.ExternalTensor(
                found.location,
                found.offset,
                found.length,
                found.dtype,
                shape=found.shape,
                name=value.name or "",
                base_dir=path.parent,
            )
    data = f"{whole.name}.data"
    os.link(whole.parent / data, path.parent / data)


def onnx_device() -> str:
    """Where ONNX is verified: `cuda:0` where PyTorch sees a GPU and ONNX Runtime has CUDA."""
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return "cuda:0" if has_cuda and torch.cuda.is_available() else "cpu"


def load_onnx(network: Network, path: Path) -> Run:
    """The file in ONNX Runtime, as it is served, on onnx_device().

    Raises ExportError when it has no kernels for it there.
    """
    device = onnx_device()
    try:
        engine = OnnxEngine(path, device, network.outputs)
    except Exception as error:  # its exceptions share no class of their own
        raise ExportError(
            f"{network.name}: ONNX Runtime ({device}) cannot run it: {error}"
        ) from error

    def run(inputs: Inputs) -> list[torch.Tensor]:
        return [torch.as_tensor(output).cpu() for output in engine(inputs)]

    return run
