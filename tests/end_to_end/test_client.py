"""`upscale image` against the real server."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from tests.photographs import file_of, photograph
from tests.server import Server


def test_a_folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    photos, large = tmp_path / "photos", tmp_path / "large"
    photos.mkdir()
    images = {name: file_of(photograph(name, 24, 16)) for name in ("cat", "rocket")}
    for name, image in images.items():
        (photos / f"{name}.png").write_bytes(image)
    (photos / "broken.png").write_bytes(b"no image")

    command = ["image", str(photos), "-o", str(large), "--url", server.url]
    done = CliRunner().invoke(app, [*command, "--seed", "3", "--steps", "2"])

    assert done.exit_code == 1
    assert f"Error: {photos / 'broken.png'}: The image could not be read" in done.output
    assert "2 upscaled, 1 failed." in done.output
    assert {path.name: path.read_bytes() for path in large.iterdir()} == {
        f"{name}.png": server.upscale(image, seed=3, num_inference_steps=2)
        for name, image in images.items()
    }
