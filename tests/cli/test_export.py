"""What `upscale export` refuses, before anything large is brought; and how it ends."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from tests.export.test_hub import MODEL, point_to
from tests.fake_hub import FakeHub, fake_hub
from tests.server import ROOT


@pytest.fixture
def hub(
    checkpoints: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeHub]:
    with fake_hub({MODEL: checkpoints("narrow")}) as running:
        point_to(running.url, tmp_path / "cache", monkeypatch)
        yield running


def export(*arguments: str) -> str:
    """What it says when it refuses."""
    result = CliRunner().invoke(app, ["export", "--model", MODEL, *arguments])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    return " ".join(result.output.split())


def weights_sent(hub: FakeHub) -> list[str]:
    return [name for name, size in hub.sent.items() if size > 200_000]


def test_an_output_that_exists_is_refused_before_the_hub_is_asked(
    hub: FakeHub, tmp_path: Path
) -> None:
    assert "exists already" in export("--output", str(tmp_path))
    assert not hub.agents


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--precision", "int8"], "'int8' is none of fp32, fp16, bf16"),
        (["--engine", "tensorrt"], "built on the GPU that will run it"),
        (["--safety-checker", "nobody/checker"], "There is no nobody/checker"),
        (["--safety-checker", "none", "--engine", "safety_checker=onnx"], "there is no network"),
        (["--variant", "fp8"], "no weights of the variant 'fp8'"),
        (["--step-cache", "12"], "this UNet has branches from 0, of which the least runs, to "),
        (["--scheduler", "Heun"], "--scheduler Heun is neither a scheduler_config.json nor one of"),
    ],
)
def test_options_are_refused_before_the_download(
    hub: FakeHub, tmp_path: Path, arguments: list[str], words: str
) -> None:
    assert words in export("--output", str(tmp_path / "out"), *arguments)
    assert weights_sent(hub) == []
    assert not (tmp_path / "out").exists()


def test_too_little_room_is_told_before_the_download(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    assert "--output or HF_HOME" in export("--output", str(tmp_path / "out"))
    assert weights_sent(hub) == []


def test_the_schedulers_are_told(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    told = export("--output", str(tmp_path / "out"), "--scheduler", "EulerDiscrete")
    assert "Schedulers: EulerDiscrete, the default, DDIM, PNDM, LMSDiscrete," in told


def test_what_a_step_cache_saves_and_takes_is_told(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    told = export("--output", str(tmp_path / "out"), "--step-cache", "0")
    assert re.search(r"Step cache: a call between two full ones takes [\d.]+ % of their", told)
    assert re.search(r"MEMORY_BUDGET_MB has to hold \d+ MB more for each", told)


def test_fp16_on_a_cpu_is_told(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.engine_choice.has_gpu", lambda: False)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    told = export("--output", str(tmp_path / "out"), "--precision", "unet=fp16")
    assert "unet in fp16 as ONNX: for a GPU." in told


def test_sigterm_in_the_middle_leaves_nothing(
    checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "cli", "export", "--model", str(checkpoints("narrow"))]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path / "out")], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob(".out-*/out/text_encoder")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
