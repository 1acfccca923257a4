"""What is said of CUDA graphs; none can be captured here."""

import pytest

from doctor import graphs
from doctor.apart import Failed
from doctor.finding import State
from doctor.graphs import look_at_graphs


def test_on_a_cpu_there_are_none() -> None:
    assert look_at_graphs("cpu").state == State.UNCHECKED


@pytest.mark.parametrize(("error", "state"), [(0.0, State.GOOD), (1e-3, State.WRONG)])
def test_a_replay_must_give_the_same_bytes(
    error: float, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "apart", lambda *_: error)
    assert look_at_graphs("cuda:0").state == state


def test_what_cuda_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise Failed("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs, "apart", fail)
    found = look_at_graphs("cuda:0")
    assert found.state == State.WRONG
    assert "operation not permitted when stream is capturing" in found.sentence
