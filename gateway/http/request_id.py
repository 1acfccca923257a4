"""The name of one request, in its answer, in the log and in Triton."""

import re
import uuid

import structlog

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def chosen_id(offered: str) -> str:
    """The caller's, when it can stand in a log and a header, else a random one."""
    return offered if REQUEST_ID.fullmatch(offered) else uuid.uuid4().hex


def current_id() -> str:
    """That of the request that is being served; empty outside of one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))
