"""The served OpenAPI document and answers against the contract."""

from pathlib import Path
from typing import Any

import httpx
import yaml
from PIL import Image

from tests.photographs import file_of, photograph, pixels_of
from tests.server import Server

CONTRACT = Path(__file__).parent.parent / "contract.yaml"


def missing(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Where `actual` lacks something that `expected` has or has it otherwise."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [
            entry
            for key, value in expected.items()
            for entry in (
                missing(value, actual[key], f"{path}.{key}")
                if key in actual
                else [f"{path}.{key} is missing"]
            )
        ]
    if isinstance(expected, list) and isinstance(actual, list):
        return [f"{path} lacks {value}" for value in expected if value not in actual]
    same = " ".join(str(expected).split()) == " ".join(str(actual).split())
    return [] if same and type(expected) is type(actual) else [f"{path}: {actual} not {expected}"]


def test_contract_is_contained(server: Server) -> None:
    contract = yaml.safe_load(CONTRACT.read_text())
    for about_the_server_itself in ("info", "servers"):
        del contract[about_the_server_itself]
    assert missing(contract, server.get("/openapi.json").json()) == []


def test_answer(server: Server) -> None:
    image = file_of(photograph("cat", 40, 24))
    response = server.post(image, seed=5, num_inference_steps=2, model_id="narrow")
    assert response.headers["content-type"] == "application/json"
    media = response.json()["images"]
    assert len(media) == 1
    assert set(media[0]) == {"url", "seed", "nsfw"}
    assert media[0]["seed"] == 5
    assert media[0]["nsfw"] is False


def test_slash_at_the_end_and_default_steps(server: Server) -> None:
    image = file_of(photograph("cat", 16, 16))
    expected = server.post(image, prompt="x", seed=1).json()
    for steps in ("0", "-3", "75"):
        response = httpx.post(
            f"{server.url}/upscale/",
            files={"image": image},
            data={"prompt": "x", "seed": "1", "num_inference_steps": steps},
            timeout=60,
            trust_env=False,
        )
        assert response.status_code == 200
        assert response.json() == expected


def test_operations(server: Server) -> None:
    for slash in ("", "/"):
        assert server.get(f"/health{slash}").json() == {"status": "OK"}
        version = server.get(f"/version{slash}").json()
        assert version == {"pipeline": "upscale", "model_id": "narrow", "version": "0.1.0"}
        info = server.get(f"/hardware/info{slash}").json()
        assert info["pipeline"] == "upscale"
        assert info["model_id"] == "narrow"
        assert isinstance(info["gpu_info"], dict)
        assert isinstance(server.get(f"/hardware/stats{slash}").json()["gpu_stats"], dict)


def test_every_format_gives_the_same_picture(server: Server) -> None:
    image = photograph("astronaut", 24, 16)
    fields = {"seed": 1, "num_inference_steps": 2}
    expected = server.upscale(file_of(image), **fields)
    for kind in ("BMP", "TIFF"):
        assert server.upscale(file_of(image, kind), **fields) == expected
    assert server.upscale(file_of(image, "WEBP", lossless=True), **fields) == expected
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to see it upright"
    assert server.upscale(file_of(turned, exif=exif), **fields) == expected
    assert pixels_of(expected).shape == (64, 96, 3)
