"""A capture with stand-ins of PyTorch's: what is captured when, and on which buffers."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stages.cuda_graph import CudaGraph


class Engine:
    """Runs again, on the buffers of its last call, when it is replayed."""

    device, stream = "cpu", "its own"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        self.calls += 1
        self.batch, self.output = batch, 2 * batch["sample"]
        return [self.output]

    def replay(self) -> None:
        self.output.copy_(2 * self.batch["sample"])


def test_a_call_is_captured_on_buffers_of_its_own_and_replayed_on_others_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, captures = Engine(), list[tuple[Any, int]]()
    free = iter([1000, 400])

    @contextmanager
    def graph(_: Any, **options: Any) -> Iterator[None]:
        calls = engine.calls
        yield
        captures.append((options, engine.calls - calls))

    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=engine.replay))
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (next(free), 2000))
    given = {"sample": torch.ones(2, 3), "timestep": torch.zeros(2, 1)}
    captured = CudaGraph(engine, given)
    # Another thread's calls to CUDA are neither captured nor forbidden meanwhile.
    assert captures == [({"stream": "its own", "capture_error_mode": "thread_local"}, 1)]
    assert captured.nbytes == 600
    [first] = captured({"timestep": torch.zeros(2, 1), "sample": torch.full((2, 3), 5.0)})
    assert torch.equal(first, torch.full((2, 3), 10.0))
    assert torch.equal(given["sample"], torch.ones(2, 3)), "not the caller's own"
    [again] = captured({"sample": torch.full((2, 3), 7.0), "timestep": torch.zeros(2, 1)})
    assert again is first
    assert torch.equal(first, torch.full((2, 3), 14.0))
    assert engine.calls == 1
