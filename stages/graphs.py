"""CUDA graphs of an engine's calls: a call's thousand kernels are launched as one.

A graph is of one shape and of fixed buffers. So rows are padded to a bucket, and a shape that comes
again is captured: its first call runs plainly, which is also the run that the capture needs before
it. Padding is for graphs or without them, so that a row meets the same kernels with one neighbour
as with none.
"""

import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import torch

from stages.engines import Engine

BUCKETS = (2, 4, 8, 16)  # rows; two are one request with guidance
IDLE_CALLS = 256
Tensors = dict[str, torch.Tensor]
Key = tuple[int, ...]
logger = logging.getLogger("denoise")


class Graph(Protocol):
    """A captured call. Its outputs are valid until the next one."""

    nbytes: int  # of the device's memory

    def __call__(self, inputs: Tensors) -> list[torch.Tensor]: ...


class GraphedEngine:
    """An engine whose calls are graphs, as far as memory allows.

    The graph that was used least recently goes for a new one, unless it was used within the last
    IDLE_CALLS: sizes in turn would be captured in every round.
    """

    def __init__(
        self, engine: Engine, capture: Callable[[Engine, Tensors], Graph], room: int
    ) -> None:
        """capture: of a call with these inputs, which has run before. room: bytes for graphs."""
        self._engine = engine
        self.device, self.stream = engine.device, engine.stream
        self._capture = capture
        self._room = room
        self._calls = 0
        self._graphs: OrderedDict[Key, Graph] = OrderedDict()  # the one used last at the end
        self._used: dict[Key, int] = {}  # of each graph its last call
        self._due: dict[Key, float] = {}  # of each other shape the call from which it is captured

    def __call__(self, batch: dict[str, Any]) -> list[Any]:
        rows = len(batch["sample"])
        inputs = padded(batch, bucket_of(rows))
        graph = self._graph_of(inputs)
        outputs = graph(inputs) if graph else self._engine(inputs)
        return [output[:rows] for output in outputs]

    def _graph_of(self, inputs: Tensors) -> Graph | None:
        self._calls += 1
        key = tuple(inputs["sample"].shape)
        if key not in self._graphs:
            if self._calls < self._due.setdefault(key, self._calls + 1):
                return None
            self._capture_call(key, inputs)
        if key in self._graphs:
            self._graphs.move_to_end(key)
            self._used[key] = self._calls
        return self._graphs.get(key)

    def _capture_call(self, key: Key, inputs: Tensors) -> None:
        try:
            graph = self._capture(self._engine, inputs)
        except Exception as error:  # the libraries' exceptions share no class of their own
            self._due[key] = math.inf
            logger.warning("calls of %s go without a CUDA graph: %s", key, error)
            return
        if graph.nbytes > self._room:
            self._due[key] = math.inf
            logger.warning(
                "calls of %s go without a CUDA graph: it takes %s bytes, and all of them have %s",
                key,
                graph.nbytes,
                self._room,
            )
        elif self._make_room(graph.nbytes):
            self._graphs[key] = graph
        else:
            self._due[key] = self._calls + IDLE_CALLS

    def _make_room(self, nbytes: int) -> bool:
        while sum(graph.nbytes for graph in self._graphs.values()) + nbytes > self._room:
            oldest = next(iter(self._graphs))
            if self._calls - self._used[oldest] < IDLE_CALLS:
                return False
            del self._graphs[oldest], self._due[oldest]
        return True


def bucket_of(rows: int) -> int:
    """The rows that a call is padded to; more than the largest bucket are left as they are."""
    return next((bucket for bucket in BUCKETS if rows <= bucket), rows)


def padded(batch: Tensors, rows: int) -> Tensors:
    """Each tensor [n, ...] with its first row repeated up to so many; a full one as it is."""
    missing = rows - len(batch["sample"])
    if not missing:
        return batch
    return {
        name: torch.cat([tensor, tensor[:1].expand(missing, *tensor.shape[1:])])
        for name, tensor in batch.items()
    }
