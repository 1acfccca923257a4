"""The safety checker's way: flagged, passed, not asked, not there."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import CLIPImageProcessorPil
from tritonclient.utils import InferenceServerException

from tests.conftest import WITHOUT_SAFETY_CHECKER
from tests.end_to_end.test_ensemble import infer
from tests.photographs import file_of, photograph
from tests.server import ROOT, Server
from tests.tiny_pipeline import make_safety_checker

IMAGE = file_of(photograph("cat", 16, 16))


def test_flags_and_does_not_black_out(
    checkpoints: Callable[[str], Path], server: Server, tmp_path: Path
) -> None:
    """A checker that flags everything changes the flag and not the picture."""
    make_safety_checker(threshold=-1.0).save_pretrained(tmp_path / "checker")
    CLIPImageProcessorPil().save_pretrained(tmp_path / "checker")
    command = [sys.executable, "-m", "cli", "export", "--model", str(checkpoints("narrow"))]
    command += ["--output", str(tmp_path / "out"), "--safety-checker", str(tmp_path / "checker")]
    subprocess.run(command, cwd=ROOT, check=True)
    with Server(tmp_path / "out") as flagging:
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
