"""Where the time of a request goes: the sums, and a real server."""

import pytest

from benchmarks.breakdown import STAGES, Snapshot, explained, measure, report
from benchmarks.statistics import GatewaySeconds, ModelTimes
from tests.photographs import file_of, photograph
from tests.server import Server

ZERO = ModelTimes()


def test_parts_add_up_and_the_rest_is_unexplained() -> None:
    models = ("encode", "denoise", "decode", "text_encoder", "unet")
    before = Snapshot(1.0, GatewaySeconds(0.5, {"wait": 0.25}), dict.fromkeys(models, ZERO))
    after = Snapshot(
        client_s=1.0 + 2 * 1.0,
        gateway=GatewaySeconds(
            0.5 + 2 * 0.9, {"wait": 0.25, "read_image": 2 * 0.1, "denoise": 2 * 0.7}
        ),
        triton={**dict.fromkeys(models, ZERO), "unet": ModelTimes(2, 2, 2, 1.0, 0.1, 0.0, 0.8)},
    )
    breakdown = explained(before, after, 2)
    assert {(part.where, part.what): pytest.approx(part.seconds) for part in breakdown.parts} == {
        ("HTTP", "client and connection"): 0.1,
        ("gateway", "wait"): 0.0,
        ("gateway", "read_image"): 0.1,
        ("denoise", "unet: compute"): 0.4,
        ("denoise", "unet: queue, copies"): 0.05,
        ("denoise", "its Python, calls"): 0.25,
    }
    assert breakdown.unexplained_s == pytest.approx(0.1)
    assert "| unexplained | 100.00 | 10.00% |" in report(breakdown, "An image", 2)


def test_a_real_request_is_explained(server: Server) -> None:
    fields = {"prompt": "a", "num_inference_steps": "20", "guidance_scale": "9", "seed": "0"}
    image = file_of(photograph("cat", 32, 32))
    urls = (server.url, server.triton_url, server.metrics_url)
    breakdown = measure(*urls, image, fields, requests=2)
    parts = {f"{part.where}: {part.what}": part.seconds for part in breakdown.parts}
    for name in (
        "gateway: write_image",
        "denoise: unet: compute",
        "decode: vae_decoder: compute",
        "decode: safety_checker: compute",
    ):
        assert parts[name] > 0, parts
    # What lies between two clocks can come out below zero on a busy machine.
    assert {f"{stage}: its Python, calls" for stage in STAGES} <= parts.keys()
