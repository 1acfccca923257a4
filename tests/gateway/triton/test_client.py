"""Whose model Triton serves."""

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gateway.errors import UnknownModel
from gateway.triton.client import TritonClient
from gateway.triton.served_model import ServedModel
from stages.schedulers import Scheduler, schedulers_text
from stages.step_cache import StepCache, step_cache_text

PARAMETERS = {
    "model_id": "x/y",
    "num_inference_steps": "75",
    "guidance_scale": "9.0",
    "noise_level": "20",
    "max_noise_level": "350",
    "safety_checker": "none",
}


def served_model(parameters: dict[str, str]) -> ServedModel:
    """Of a Triton whose `upscale` has these parameters."""
    values = {name: SimpleNamespace(string_value=value) for name, value in parameters.items()}

    async def get_model_config(_: str) -> Any:
        return SimpleNamespace(config=SimpleNamespace(parameters=values))

    async def main() -> ServedModel:
        client = TritonClient("triton:8001")
        client._client.get_model_config = get_model_config
        try:
            return await client.served_model()
        finally:
            await client.close()

    return asyncio.run(main())


def test_the_model_is_what_the_export_wrote() -> None:
    assert served_model(PARAMETERS).model_id == "x/y"
    assert served_model(PARAMETERS | {"prompt_has_effect": "False"}).prompt_has_effect is False


def test_a_repository_of_another_version_is_said_to_be() -> None:
    class Latents:
        """What denoise gave before it passed the image on."""

        def as_numpy(self, name: str) -> Any:
            return np.zeros(1) if name in ("latents", "image_size", "safety_check") else None

    async def main() -> None:
        client = TritonClient("triton:8001")
        try:
            await client._decode(Latents(), None)
        finally:
            await client.close()

    with pytest.raises(UnknownModel, match=r"at triton:8001 .* gives no image. Export it again"):
        asyncio.run(main())


def test_a_repository_of_before_there_were_schedulers_has_ddim() -> None:
    assert served_model(PARAMETERS).schedulers.names == ["DDIM"]
    served = [Scheduler("EulerDiscrete"), Scheduler("PNDM", history=3, extra_calls=1)]
    text = schedulers_text(served)
    assert served_model(PARAMETERS | {"schedulers": text}).schedulers.served == tuple(served)


def test_a_repository_says_whether_it_has_a_step_cache() -> None:
    cache = StepCache(branch=0, channels=256, stride=1, cost=0.06)
    assert served_model(PARAMETERS).step_cache is None
    written = PARAMETERS | {"step_cache": step_cache_text(cache)}
    assert served_model(written).step_cache == cache


@pytest.mark.parametrize(
    ("parameters", "lack"),
    [({}, "'model_id'"), (PARAMETERS | {"noise_level": "much"}, "'much'")],
)
def test_a_model_of_somebody_elses_is_said_to_be(parameters: dict[str, str], lack: str) -> None:
    with pytest.raises(UnknownModel, match=f"at triton:8001 .*`upscale export`.*{lack}"):
        served_model(parameters)
