"""The command itself: its version, its help, and the file .env."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from gateway.settings import Settings

ROOT = Path(__file__).parents[2]
COMMANDS = ["", "image", "export", "serve", "gateway", "download", "livepeer runner", "bench http"]


def upscale(*arguments: str) -> str:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "80"}).output


def process(*arguments: str, cwd: Path = ROOT, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-m", "cli", *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_it_tells_its_version() -> None:
    assert upscale("--version") == f"{version('upscale')}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_eighty_columns(command: str) -> None:
    said = upscale(*command.split(), "--help")
    assert "--help" in said
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_servers_list_every_setting(command: str) -> None:
    said = upscale(command, "--help")
    settings = said.split("\nSettings", 1)[1]
    assert [name for name in Settings.model_fields if f"\n  {name.upper()} " not in settings] == []
    assert "[280]" in settings
    assert "[unset]" in settings


def test_it_completes_words() -> None:
    said = process(_PYTHON_M_CLI_COMPLETE="complete_bash", COMP_WORDS="upscale im", COMP_CWORD="1")
    assert "image" in said


def test_what_the_environment_lacks_is_read_from_dot_env(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / ".env").write_text("UPSCALE_URL=nonsense\nMAX_WAITING=-3\n")
    assert "nonsense is no URL" in process("image", "a.png", cwd=tmp_path)
    assert "other is no URL" in process("image", "a.png", cwd=tmp_path, UPSCALE_URL="other")
    assert "MAX_WAITING='-3'" in process("gateway", cwd=tmp_path)
