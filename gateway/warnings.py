"""What the log says at the start: settings that work, but not as an operator may think."""

import asyncio
import difflib
import ipaddress
import logging
import os
from collections.abc import Iterable

from gateway.settings import SafetyCheck, Settings
from gateway.triton.pool import TritonPool
from stages.step_cache import NOT_EXPORTED

POLL_INTERVAL_S = 0.5
ALIKE = 0.9  # of two names, as difflib has it: a letter or an underscore more, less or other
logger = logging.getLogger("gateway")


def warnings_of(settings: Settings, variables: Iterable[str]) -> list[str]:
    """A sentence each. variables: the names in the environment."""
    found = [
        f"{name} is no setting and changes nothing; {setting} is one."
        for name, setting in misspelt(variables).items()
    ]
    if settings.media == "local" and settings.media_url is None and not _is_loopback(settings.host):
        found.append(
            "MEDIA=local without MEDIA_URL: links to results lead to the host that a request names;"
            " behind a proxy that changes it, as a Livepeer orchestrator does, nobody can follow"
            " them. Set MEDIA_URL to the address of /media from outside."
        )
    if settings.safety_check is SafetyCheck.SKIP:
        found.append(
            "SAFETY_CHECK=skip: where the served model has no safety checker, requests that ask for"
            " the check are served unchecked, with nsfw false."
        )
    return found


async def warn(settings: Settings, pool: TritonPool) -> None:
    """Log them, and once a model is served, what it lacks that clients or settings ask for."""
    for warning in warnings_of(settings, os.environ):
        logger.warning(warning)
    while not pool.ready():
        await asyncio.sleep(POLL_INTERVAL_S)
    if not pool.model.has_safety_checker and settings.safety_check is SafetyCheck.REFUSE:
        logger.warning(
            "The served model has no safety checker: requests with safety_check true, which is the"
            " default and what Livepeer's SDKs always send, are refused. SAFETY_CHECK=skip serves"
            " them unchecked."
        )
    if settings.step_cache > 1 and pool.model.step_cache is None:
        logger.warning(
            f"STEP_CACHE={settings.step_cache} changes nothing: {NOT_EXPORTED}. Every step runs the"
            " whole UNet."
        )


def misspelt(variables: Iterable[str]) -> dict[str, str]:
    """Names that are nearly a setting's, and that setting's."""
    settings = [name.upper() for name in Settings.model_fields]
    near = {
        name: difflib.get_close_matches(name, settings, 1, ALIKE)
        for name in variables
        if name not in settings
    }
    return {name: matches[0] for name, matches in near.items() if matches}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
