"""What the README shows is run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.deploy.chart import ROOT
from tests.photographs import photograph
from tests.server import Server

README = (ROOT / "README.md").read_text()
URL = "http://127.0.0.1:8000"
SIDE = 16
BASH = ["bash", "-ec"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader stands: photo.jpg and photos/ are there."""
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg"):
        photograph("cat", SIDE, SIDE).save(tmp_path / name)
    return tmp_path


def block(language: str) -> str:
    [text] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert URL in text
    return str(text)


def made(path: Path) -> tuple[str, tuple[int, int]]:
    with Image.open(path) as image:
        return str(image.format), image.size


@pytest.mark.parametrize(
    ("language", "command"),
    [
        ("sh", BASH),
        ("python", [sys.executable, "-c"]),
        ("js", ["node", "--input-type=module", "-e"]),
    ],
)
def test_clients_make_a_picture(
    server: Server, folder: Path, language: str, command: list[str]
) -> None:
    text = block(language).replace(URL, server.url)
    subprocess.run([*command, text], cwd=folder, check=True)
    assert made(folder / "large.png") == ("PNG", (4 * SIDE, 4 * SIDE))


def test_the_command_makes_pictures(server: Server, folder: Path) -> None:
    lines = re.findall(r"^\.venv/bin/(upscale image .*)$", README, re.MULTILINE)
    assert len(lines) == 2
    environment = {**os.environ, "UPSCALE_URL": server.url}
    for line in lines:
        command = [*BASH, f"{Path(sys.executable).parent}/{line}"]
        subprocess.run(command, cwd=folder, env=environment, check=True)
    for name in ("photo-upscaled.png", "large/a.png"):
        assert made(folder / name) == ("PNG", (4 * SIDE, 4 * SIDE))
