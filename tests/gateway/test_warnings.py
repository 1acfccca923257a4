"""What an operator is told at the start."""

import asyncio
import logging
from typing import Any

import pytest

from gateway.settings import Settings
from gateway.triton.pool import TritonPool
from gateway.triton.served_model import ServedModel
from gateway.warnings import warn, warnings_of
from tests.gateway.test_app import CACHED, MODEL, FakeTriton


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, []),
        ({"host": "0.0.0.0"}, []),  # noqa: S104
        ({"media": "local"}, []),
        ({"media": "local", "host": "::1"}, []),
        ({"media": "local", "host": "localhost"}, []),
        ({"media": "local", "host": "0.0.0.0"}, ["MEDIA_URL"]),  # noqa: S104
        ({"media": "local", "host": "gpu-1"}, ["MEDIA_URL"]),
        ({"media": "local", "host": "gpu-1", "media_url": "https://images.test"}, []),
        ({"safety_check": "skip"}, ["SAFETY_CHECK=skip"]),
    ],
)
def test_settings_that_surprise_are_named(settings: dict[str, Any], words: list[str]) -> None:
    found = warnings_of(Settings.from_environment(**settings), [])
    assert len(found) == len(words)
    assert all(word in warning for word, warning in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MAX_INPROGRESS", "MAX_IN_PROGRESS"),
        ("MAX_BODY_BYTE", "MAX_BODY_BYTES"),
        ("KEEPALIVE_S", "KEEP_ALIVE_S"),
        ("AUTHTOKEN", "AUTH_TOKEN"),
    ],
)
def test_what_is_nearly_a_setting_is_named(name: str, meant: str) -> None:
    others = ["PATH", "HOSTNAME", "HOME", "MAX_WAITING", "TRITON_PORT", "PORTAL", "UPSCALE_URL"]
    [warning] = warnings_of(Settings.from_environment(), [*others, name])
    assert warning == f"{name} is no setting and changes nothing; {meant} is one."


@pytest.mark.parametrize(
    ("model", "interval", "is_warned"), [(MODEL, 3, True), (MODEL, 1, False), (CACHED, 3, False)]
)
def test_a_step_cache_that_the_model_has_not_is_named_once_it_is_served(
    caplog: pytest.LogCaptureFixture, model: ServedModel, interval: int, is_warned: bool
) -> None:
    async def main() -> None:
        triton = FakeTriton()
        triton.model = model
        pool = TritonPool(lambda _: triton, 3.0)  # type: ignore[arg-type, return-value]
        await pool.add("triton:8001").readiness.reach()
        await warn(Settings.from_environment(step_cache=interval), pool)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert ("STEP_CACHE=3 changes nothing" in caplog.text) == is_warned


@pytest.mark.parametrize(("choice", "is_warned"), [("refuse", True), ("skip", False)])
def test_a_model_without_a_checker_is_named_once_it_is_served(
    caplog: pytest.LogCaptureFixture, choice: str, is_warned: bool
) -> None:
    async def main() -> None:
        pool = TritonPool(lambda _: FakeTriton(), 3.0)  # type: ignore[arg-type, return-value]
        await pool.add("triton:8001").readiness.reach()
        await warn(Settings.from_environment(safety_check=choice), pool)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert ("The served model has no safety checker" in caplog.text) is is_warned
