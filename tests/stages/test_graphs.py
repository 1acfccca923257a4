"""Graphs of an engine's calls, with a graph that is a function; only its capture needs a GPU."""

import logging
from typing import Any

import pytest
import torch

from stages.graphs import IDLE_CALLS, GraphedEngine, bucket_of, padded

MEGABYTE = 10**6


class Engine:
    """Its answer is a function of each row alone; it keeps how many rows it was called with."""

    device, stream = "meta", None

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        self.rows.append(len(batch["sample"]))
        return [batch["sample"] + batch["timestep"].view(-1, 1, 1, 1)]


class Graph:
    """Keeps its buffers as a CUDA graph does: what it gave is overwritten by its next call."""

    def __init__(self, engine: Engine, inputs: dict[str, torch.Tensor]) -> None:
        self.engine, self.calls = engine, 0
        self.buffers = {name: tensor.clone() for name, tensor in inputs.items()}
        [self.output] = engine(self.buffers)
        self.nbytes = MEGABYTE * len(inputs["sample"])

    def __call__(self, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        self.calls += 1
        for name, tensor in inputs.items():
            self.buffers[name].copy_(tensor)
        self.output.copy_(self.engine(self.buffers)[0])
        return [self.output]


class Graphed:
    """An engine with graphs, and what was captured of it."""

    def __init__(self, room: int = 100 * MEGABYTE) -> None:
        self.engine, self.captured = Engine(), list[Graph]()
        self.call = GraphedEngine(self.engine, self.capture, room)

    def capture(self, engine: Any, inputs: dict[str, torch.Tensor]) -> Graph:
        self.captured.append(Graph(engine, inputs))
        return self.captured[-1]

    def __call__(self, rows: int, side: int = 8) -> None:
        """A call, whose rows are those of the engine without graphs and padding."""
        inputs = batch(rows, side)
        [output] = self.call(inputs)
        assert torch.equal(output, Engine()(inputs)[0])

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and side of each graph, in the order of their captures."""
        samples = [graph.buffers["sample"].shape for graph in self.captured]
        return [(shape[0], shape[-1]) for shape in samples]


def batch(rows: int, side: int = 8) -> dict[str, torch.Tensor]:
    return {"sample": torch.randn(rows, 4, side, side), "timestep": torch.randint(9, (rows, 1))}


@pytest.mark.parametrize(
    ("rows", "bucket"), [(1, 2), (2, 2), (3, 4), (4, 4), (5, 8), (9, 16), (16, 16), (20, 20)]
)
def test_rows_are_padded_to_a_bucket_with_the_first(rows: int, bucket: int) -> None:
    assert bucket_of(rows) == bucket
    given = batch(rows)
    full = padded(given, bucket)
    for name, tensor in full.items():
        assert len(tensor) == bucket
        assert torch.equal(tensor[:rows], given[name])
        assert all(torch.equal(row, given[name][0]) for row in tensor[rows:])
    if rows == bucket:
        assert full["sample"] is given["sample"], "not copied"


def test_a_shape_that_comes_again_is_captured_and_replayed() -> None:
    graphed = Graphed()
    graphed(2)
    assert graphed.shapes == []
    for rows in (2, 1, 2):
        graphed(rows)
    assert graphed.shapes == [(2, 8)]
    assert graphed.captured[0].calls == 3


def test_buckets_and_sizes_have_graphs_of_their_own() -> None:
    graphed = Graphed()
    for _ in range(2):
        for rows, side in ((1, 8), (2, 16), (3, 8), (7, 8)):
            graphed(rows, side)
    assert graphed.shapes == [(2, 8), (2, 16), (4, 8), (8, 8)]


def test_the_engine_meets_only_buckets_with_or_without_a_graph() -> None:
    graphed = Graphed(room=0)
    for rows in (1, 2, 3, 5, 9, 1, 3):
        graphed(rows)
    assert set(graphed.engine.rows) == {2, 4, 8, 16}


def use(graphed: Graphed, rows: int, times: int = 2) -> None:
    for _ in range(times):
        graphed(rows)


def test_the_one_used_least_recently_goes() -> None:
    graphed = Graphed(room=14 * MEGABYTE)
    for rows in (8, 4, 2):  # 14 MB
        use(graphed, rows)
    use(graphed, 2, IDLE_CALLS)
    use(graphed, 8, 1)
    use(graphed, 2, IDLE_CALLS - 1)
    graphed(8)  # so that 4 is the oldest, and the only one that is idle
    use(graphed, 4, 1)
    assert graphed.shapes == [(8, 8), (4, 8), (2, 8)]
    use(graphed, 2, IDLE_CALLS)
    use(graphed, 16, 2)  # more than all have
    assert graphed.shapes[-1] == (16, 8)
    for side in (16, 16):
        graphed(4, side)  # 4 MB more
    assert graphed.shapes[-1] == (4, 16)
    calls = graphed.captured[0].calls
    use(graphed, 8, 1)
    assert graphed.captured[0].calls == calls, "it has gone"


def test_sizes_in_turn_that_do_not_fit_together_are_not_captured_in_every_round() -> None:
    graphed = Graphed(room=8 * MEGABYTE)
    for _ in range(IDLE_CALLS):
        graphed(8, 8)
        graphed(8, 16)
    assert 3 <= len(graphed.captured) <= 4
    assert graphed.captured[0].calls > 200


def test_where_none_can_be_had_calls_are_plain_and_it_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    graphed = Graphed()

    def capture(engine: Any, inputs: Any) -> Graph:
        raise RuntimeError("operation not permitted when stream is capturing")

    graphed.call = GraphedEngine(graphed.engine, capture, MEGABYTE)
    with caplog.at_level(logging.WARNING):
        use(graphed, 2, 5)
    assert len(caplog.records) == 1
    assert "(2, 4, 8, 8) go without a CUDA graph: operation not permitted" in caplog.text


def test_one_that_is_too_large_for_all_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    graphed = Graphed(room=MEGABYTE)
    with caplog.at_level(logging.WARNING):
        use(graphed, 2, 5)
    assert len(graphed.captured) == len(caplog.records) == 1
    assert "it takes 2000000 bytes, and all of them have 1000000" in caplog.text
