"""Where the time of a request goes: the sums, and a real server under the profile."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.breakdown import Snapshot, explained, measure, profile_stages, report
from benchmarks.statistics import ModelTimes
from tests.photographs import file_of, photograph

ZERO = ModelTimes()


def test_parts_add_up_and_the_rest_is_unexplained() -> None:
    models = ("encode", "denoise", "decode", "text_encoder", "unet")
    before = Snapshot(0.0, {}, dict.fromkeys(models, ZERO), {s: {} for s in models[:3]})
    after = Snapshot(
        client_s=2 * 1.0,
        gateway={"": 2 * 0.9, "read_image": 2 * 0.1, "denoise": 2 * 0.7},
        triton={**dict.fromkeys(models, ZERO), "unet": ModelTimes(2, 2, 2, 1.0, 0.1, 0.0, 0.8)},
        functions={
            "encode": {},
            "denoise": {"exec": 2 * 0.55, "Job.add": 2 * 0.1, "acquire": 9.0, "": 3.0},
            "decode": {},
        },
    )
    breakdown = explained(before, after, 2)
    assert {(part.where, part.what): pytest.approx(part.seconds) for part in breakdown.parts} == {
        ("HTTP", "client and connection"): 0.1,
        ("gateway", "read_image"): 0.1,
        ("denoise", "unet: compute"): 0.4,
        ("denoise", "unet: queue, copies"): 0.05,
        ("denoise", "BLS"): 0.05,
        ("denoise", "blending"): 0.1,
    }
    assert breakdown.unexplained_s == pytest.approx(0.2)
    assert "| unexplained | 200.00 | 20.00% |" in report(breakdown, "An image", 2)


def test_the_repository_itself_is_left_as_it_is(
    repositories: Callable[[str], Path], tmp_path: Path
) -> None:
    repository = repositories("narrow")
    model = repository / "denoise" / "1" / "model.py"
    before = model.read_text()
    profile_stages(repository, tmp_path / "copy")
    assert model.read_text() == before
    assert "profiled(" in (tmp_path / "copy" / "denoise" / "1" / "model.py").read_text()


def test_a_real_request_is_explained(repositories: Callable[[str], Path]) -> None:
    fields = {"prompt": "a", "num_inference_steps": "20", "guidance_scale": "9", "seed": "0"}
    image = file_of(photograph("cat", 32, 32))
    breakdown = measure(repositories("narrow"), image, fields, requests=2)
    parts = {f"{part.where}: {part.what}": part.seconds for part in breakdown.parts}
    for name in (
        "gateway: write_image",
        "denoise: unet: compute",
        "denoise: guidance",
        "denoise: scheduler",
        "decode: vae_decoder: compute",
        "decode: safety_checker: compute",
    ):
        assert parts[name] > 0, parts
    # What lies between two clocks can come out below zero on a busy machine.
    assert {"encode: gRPC", "denoise: BLS", "decode: BLS"} <= parts.keys()
    assert abs(breakdown.unexplained_s) < 0.5 * breakdown.whole_s, parts
