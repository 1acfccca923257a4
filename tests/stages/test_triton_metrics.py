"""Triton's metrics end before the process does."""

import gc
from typing import Any

import pytest

from stages.loop import DenoiseLoop
from tests.stages.test_loop import make_loop, submit
from tests.stages.triton_stand_in import MetricFamily, install


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Any:
    install(monkeypatch)
    monkeypatch.setattr(MetricFamily, "log", [])
    from stages.triton_metrics import Metrics

    return Metrics()


def value_of(metrics: Any, name: str) -> float:
    return float({**metrics._gauges, **metrics._counters}[name].value)


def test_the_counts_of_the_loop_are_published(metrics: Any) -> None:
    loop: DenoiseLoop = make_loop(max_active=1, on_round=metrics.publish)
    for _ in range(2):
        submit(loop, num_inference_steps=2)
    loop.run_round()
    assert value_of(metrics, "active") == value_of(metrics, "waiting") == 1
    for _ in range(3):
        loop.run_round()
    assert value_of(metrics, "active") == value_of(metrics, "waiting") == 0
    assert value_of(metrics, "completed") == 2
    assert (value_of(metrics, "unet_calls"), value_of(metrics, "unet_rows")) == (4, 8)


def test_closing_deletes_every_metric_before_its_family(metrics: Any) -> None:
    loop = make_loop(on_round=metrics.publish)  # which keeps the object itself alive
    metrics.close()
    gc.collect()
    kinds = [kind for kind, _ in MetricFamily.log]
    assert kinds == ["metric"] * 11 + ["family"] * 4
    assert loop.active_count == 0
