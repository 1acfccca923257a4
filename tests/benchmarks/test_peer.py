"""The peer, and the comparison with it."""

import base64
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from benchmarks.peer import DEMO, create_peer
from benchmarks.side_by_side import Comparison, Round, report
from embedded.default_repository import CHECKPOINT
from tests.photographs import file_of, photograph, pixels_of


def test_it_answers_as_the_contract_says() -> None:
    fields = {"prompt": "a photo", "seed": "5", "num_inference_steps": "2"}
    with TestClient(create_peer(DEMO)) as client:
        assert client.get("/health").json() == {"status": "OK"}
        image = file_of(photograph("cat", 16, 16))
        response = client.post("/upscale", files={"image": image}, data=fields)
    [media] = response.json()["images"]
    assert (media["seed"], media["nsfw"]) == (5, False)
    prefix, content = media["url"].split(",")
    assert prefix == "data:image/png;base64"
    assert pixels_of(base64.b64decode(content)).shape == (64, 64, 3)


def test_it_has_the_weights_that_are_served_by_default() -> None:
    assert Path(DEMO) == CHECKPOINT


def test_ratios_are_of_turns_beside_each_other() -> None:
    ours = [Round(1, 4, 2, 1, 5, 100), Round(2, 8, 4, 1, 10, 200), Round(3, 4, 6, 1, 15, 100)]
    peers = [Round(2, 2, 8, 1, 500, 50), Round(8, 2, 8, 1, 500, 50), Round(3, 2, 8, 1, 500, 50)]
    comparison = Comparison(ours, peers, 1)
    assert comparison.medians("latency_s") == (2, 3, 0.5)
    assert comparison.medians("throughput") == (4, 2, 2)
    text = report({"64 x 64": comparison}, 20)
    assert "| 64 x 64 | 2 | 3 | 0.50 | at most 0.6 |" in text
    assert "at most 1 of 255 apart" in text


def test_no_ratio_without_turns() -> None:
    with pytest.raises(ValueError, match="median"):
        Comparison([], [], 0).medians("latency_s")
