"""`upscale livepeer runner`, before a server that is a function."""

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app

MODEL: dict[str, Any] = {
    "model_id": "demo",
    "num_inference_steps": 75,
    "guidance_scale": 1.0,
    "noise_level": 0,
    "max_noise_level": 350,
    "has_safety_checker": True,
    "prompt_has_effect": False,
    "schedulers": ["DDIM"],
    "input_formats": ["png"],
    "max_input_pixels": 1024 * 1024,
    "max_fit_pixels": 25_000_000,
    "max_body_bytes": 10_000_000,
    "max_in_progress": 2,
    "max_waiting": 1,
}
GPU = {"id": "GPU-1", "name": "NVIDIA H100", "memory_total": 81_559 * 2**20}


class FakeServer:
    """Has memory for images of `longest_side` squared."""

    def __init__(self) -> None:
        self.model = dict(MODEL)
        self.gpus: dict[str, Any] = {}
        self.longest_side = 1024
        self.reason = "The image is too large."
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url}")
        match request.url.path:
            case "/model":
                return httpx.Response(200, json=self.model)
            case "/version":
                version = {"pipeline": "upscale", "model_id": "demo", "version": "0.1.0"}
                return httpx.Response(200, json=version)
            case "/hardware/info":
                return httpx.Response(200, json={"gpu_info": self.gpus})
            case "/estimate":
                side = json.loads(request.content)["width"]
                return httpx.Response(200, json=self._estimate(side <= self.longest_side))
        return httpx.Response(404)

    def _estimate(self, is_accepted: bool) -> dict[str, Any]:
        numbers = ("unet_rows", "tiles", "tile_pixels", "memory_bytes")
        return {
            **dict.fromkeys((*numbers, "output_width", "output_height"), 1),
            "accepted": is_accepted,
            "reason": None if is_accepted else self.reason,
            "seconds": None,
        }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    served = FakeServer()
    made = httpx.Client

    def client(**options: Any) -> httpx.Client:
        return made(transport=httpx.MockTransport(served), **options)

    monkeypatch.setattr("client.description.httpx.Client", client)
    return served


def runner(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["livepeer", "runner", "--price", "0.5", *arguments])


def entry_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    [entry] = json.loads(result.stdout)["runners"]
    return dict(entry)


def test_it_prints_the_file(server: FakeServer) -> None:
    entry = entry_of(runner("--url", "http://own:8000/", "--runner-url", "http://10.0.0.7:8000"))
    assert entry["runner_url"] == "http://10.0.0.7:8000/upscale"
    assert entry["health_url"] == "http://10.0.0.7:8000/health"
    assert (entry["app"], entry["version"], entry["capacity"]) == ("upscale/demo", "0.1.0", 2)
    assert entry["price_info"] == {"price": 0.5, "currency": "usd", "unit": "fixed"}
    assert "gpu" not in entry
    assert all(" http://own:8000/" in asked for asked in server.asked)


def test_the_gpu_is_the_drivers(server: FakeServer) -> None:
    server.gpus = {"0": GPU}
    assert entry_of(runner())["gpu"] == {"id": "GPU-1", "name": "NVIDIA H100", "vram_mb": 81_559}


@pytest.mark.parametrize("longest_side", [8, 513, 1000, 1024, 5000])
def test_the_largest_image_is_one_that_there_is_memory_for(
    server: FakeServer, longest_side: int
) -> None:
    server.longest_side = longest_side
    metadata = json.loads(entry_of(runner())["metadata"])
    assert metadata["max_input_pixels"] == min(longest_side, 1024) ** 2


def test_a_model_without_a_safety_checker_is_named(server: FakeServer) -> None:
    server.model["has_safety_checker"] = False
    result = runner()
    assert entry_of(result)
    assert "SAFETY_CHECK=skip" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", " upscale"], "label"),
        (["--label", "a/b"], "label"),
        (["--runner-url", "10.0.0.7:8000"], "runner_url"),
        (["--price", "0"], "price"),
        (["--unit", "pixel"], "unit"),
        (["--capacity", "4"], "capacity is 4; this server takes from 1 to 3"),
    ],
)
def test_what_go_livepeer_would_refuse_is_wrong_usage(
    server: FakeServer, arguments: list[str], words: str
) -> None:
    result = runner(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in " ".join(result.stderr.split())


def test_a_busy_server_is_asked_again_later(server: FakeServer) -> None:
    server.longest_side, server.reason = 0, "insufficient capacity: it is busy."
    result = runner()
    assert (result.exit_code, result.stdout) == (1, "")
    assert "busy" in result.stderr


def test_without_a_server_it_is_said() -> None:
    result = runner("--url", "http://127.0.0.1:9")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "cannot be asked" in result.stderr
