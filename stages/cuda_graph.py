"""One call of an engine as a CUDA graph. Has not run on a GPU yet.

https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

import torch

from stages.engines import Engine
from stages.graphs import Tensors


class CudaGraph:
    """A call on buffers of its own, whose kernels are launched together."""

    def __init__(self, engine: Engine, inputs: Tensors) -> None:
        """Capture a call of which the same has run before, so that nothing is set up within it.

        Raises what PyTorch and the engine raise where that is not possible.
        """
        device = torch.device(engine.device)
        before, _ = torch.cuda.mem_get_info(device)
        self._names = list(inputs)
        self._inputs = [tensor.clone() for tensor in inputs.values()]
        self._graph = torch.cuda.CUDAGraph()
        # Jobs are made on another thread meanwhile, whose calls are none of the graph.
        with (
            torch.cuda.device(device),
            torch.cuda.graph(self._graph, stream=engine.stream, capture_error_mode="thread_local"),
        ):
            self._outputs = engine(dict(zip(self._names, self._inputs, strict=True)))
        after, _ = torch.cuda.mem_get_info(device)
        self.nbytes = max(0, before - after)

    def __call__(self, inputs: Tensors) -> list[torch.Tensor]:
        torch._foreach_copy_(self._inputs, [inputs[name] for name in self._names])
        self._graph.replay()
        return self._outputs
