"""`upscale doctor` on this machine, which has no GPU, and what it ends with."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments], env={"COLUMNS": "80"})


@pytest.mark.long  # it makes the same picture with diffusers
def test_a_cpu_is_good_and_what_needs_a_gpu_is_not_checked(
    repositories: Callable[[str], Path],
    checkpoints: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of it but the table: the engines, Triton's picture and diffusers'."""
    repository, model = repositories("narrow"), checkpoints("narrow")
    result = doctor(
        *("--repository", str(repository), "--model", str(model)), "--device", "cpu", "--no-table"
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    told = {line[12:33].strip(): line[:12].strip() for line in lines if line[:1].strip()}
    for subject in ("device", "engine unet", "engine vae_decoder", "memory", "picture"):
        assert told[subject] == "good", result.stdout
    for subject in ("driver", "container", "CUDA graphs"):
        assert told[subject] == "not checked", result.stdout
    assert "of 255 apart at most" in " ".join(result.stdout.split())


def test_without_the_gpu_that_was_asked_for_it_ends_with_1() -> None:
    result = doctor("--device", "cuda:0", "--no-table")
    assert result.exit_code == 1
    assert "cuda:0 was asked for" in result.stdout
    assert "engine" not in result.stdout, "nothing can be run there"


def test_what_is_no_repository_is_told(tmp_path: Path) -> None:
    result = doctor("--repository", str(tmp_path), "--device", "cpu")
    assert result.exit_code == 1
    assert "is no model repository" in result.stderr
