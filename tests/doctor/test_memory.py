"""The memory of a repository against that of a device."""

from pathlib import Path

import pytest

from doctor import memory
from doctor.finding import State
from doctor.memory import device_memory, look_at_memory


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """3 MB of unet and 2 MB of another; a budget of 10 MB."""
    for name, size in (("unet", 3), ("text_encoder", 2), ("denoise", 0)):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text(
            'parameters { key: "memory_budget_mb" value { string_value: "10" } }'
        )
        (tmp_path / name / "1" / "model.onnx").write_bytes(bytes(size * 10**6))
        (tmp_path / name / "1" / "model.py").write_bytes(bytes(10**6))
    return tmp_path


@pytest.mark.parametrize(
    ("free", "budget", "state"),
    [(15, None, State.GOOD), (14, None, State.WRONG), (14, "9", State.GOOD)],
)
def test_engines_and_budget_must_fit(
    repository: Path,
    free: int,
    budget: str | None,
    state: State,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "device_memory", lambda _: (free * 10**6, 80 * 10**6))
    monkeypatch.delenv("MEMORY_BUDGET_MB", raising=False)
    if budget is not None:
        monkeypatch.setenv("MEMORY_BUDGET_MB", budget)
    found = look_at_memory(repository, "cuda:0")
    assert found.state == state
    assert f"5 MB for the engines and {budget or 10} MB" in found.sentence
    assert f"cuda:0 has {free} MB of 80 MB free" in found.sentence


def test_a_cpus_is_the_machines() -> None:
    free, total = device_memory("cpu")
    assert 0 < free < total
