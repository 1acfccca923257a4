"""The safety checker's way: flagged, passed, not asked, not there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.end_to_end.test_ensemble import infer
from tests.photographs import file_of, photograph
from tests.repositories import BROKEN_LATENTS, BROKEN_PIXELS, WITHOUT_SAFETY_CHECKER
from tests.server import Server

IMAGE = file_of(photograph("cat", 16, 16))


@pytest.fixture(scope="module")
def flagging(repositories: Callable[[str], Path]) -> Iterator[Server]:
    with Server(repositories("flagging")) as server:
        yield server


def test_flags_and_does_not_black_out(flagging: Server, server: Server) -> None:
    """A checker that flags everything changes the flag and not the picture."""
    fields = {"seed": 1, "num_inference_steps": 2}
    media = flagging.post(IMAGE, **fields).json()["images"][0]
    assert media["nsfw"] is True
    unasked = flagging.post(IMAGE, **fields, safety_check=False).json()["images"][0]
    assert unasked["nsfw"] is False
    passed = server.post(IMAGE, **fields).json()["images"][0]
    assert passed["nsfw"] is False
    assert media["url"] == unasked["url"] == passed["url"]


@pytest.mark.parametrize(
    ("level", "words"),
    [(BROKEN_LATENTS, "no finite numbers"), (BROKEN_PIXELS, "one colour")],
)
def test_a_broken_picture_never_leaves(flagging: Server, level: int, words: str) -> None:
    """NaN from the UNet, black from the decoder, in some requests alone: the others are made."""
    held_back = flagging.gateway_metric("upscale_broken_pictures_total")
    for answered_as in ({}, {"response": "image"}, {"stream": True}):
        response = flagging.post(IMAGE, noise_level=level, num_inference_steps=1, **answered_as)
        assert response.status_code == (200 if "stream" in answered_as else 500)
        assert words in response.text
        assert "nsfw" not in response.text
        assert "upscale-nsfw" not in response.headers
    assert flagging.gateway_metric("upscale_broken_pictures_total") == held_back + 3
    with pytest.raises(InferenceServerException, match=rf"\[broken_picture\] .*{words}"):
        infer(flagging, np.asarray(photograph("cat", 16, 16)), noise_level=level)
    assert flagging.get("/health").status_code == 200
    assert flagging.upscale(IMAGE, num_inference_steps=1)


def test_without_a_checker_a_check_is_refused(servers: Callable[[str], Server]) -> None:
    unchecked = servers(WITHOUT_SAFETY_CHECKER)
    assert not (unchecked.repository / "safety_checker").exists()
    response = unchecked.post(IMAGE, num_inference_steps=1)
    assert response.status_code == 400
    assert "no safety checker" in response.json()["detail"]["msg"]
    assert unchecked.upscale(IMAGE, num_inference_steps=1, safety_check=False)
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(
        InferenceServerException, match=r"\[no_safety_checker\] safety_check is true"
    ):
        infer(unchecked, image)
    assert infer(unchecked, image, safety_check=False).as_numpy("nsfw").tolist() == [False]
