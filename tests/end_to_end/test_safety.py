"""The safety checker's way: flagged, passed, not asked, not there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.end_to_end.test_ensemble import infer
from tests.photographs import file_of, photograph
from tests.repositories import WITHOUT_SAFETY_CHECKER
from tests.server import Server

IMAGE = file_of(photograph("cat", 16, 16))


def test_flags_and_does_not_black_out(repositories: Callable[[str], Path], server: Server) -> None:
    """A checker that flags everything changes the flag and not the picture."""
    with Server(repositories("flagging")) as flagging:
        fields = {"seed": 1, "num_inference_steps": 2}
        media = flagging.post(IMAGE, **fields).json()["images"][0]
        assert media["nsfw"] is True
        unasked = flagging.post(IMAGE, **fields, safety_check=False).json()["images"][0]
        assert unasked["nsfw"] is False
        passed = server.post(IMAGE, **fields).json()["images"][0]
        assert passed["nsfw"] is False
        assert media["url"] == unasked["url"] == passed["url"]


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
