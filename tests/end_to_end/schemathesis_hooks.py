"""What schemathesis cannot know from the document: good requests, and other words for one value."""

import base64
import os
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure

from tests.photographs import file_of, photograph

PHOTOGRAPH = file_of(photograph("cat", 24, 16))
FORM, JSON = "multipart/form-data", "application/json"
BOOLEANS = ("0", "1", "no", "yes", "off", "on", "n", "y", "f", "t", "false", "true", "0.0", "1.0")
STEPS = 2


@schemathesis.hook
def before_add_examples(context: HookContext, examples: list[Case[Any]]) -> None:
    """A picture in every format, and the link to one."""
    operation = context.operation
    assert operation is not None
    if operation.path == "/upscale":
        for output_format in ("png", "jpeg", "webp"):
            body: Any = {"prompt": "a cat", "image": PHOTOGRAPH, "num_inference_steps": STEPS}
            body["output_format"] = output_format
            examples.append(operation.Case(body=body, media_type=FORM))
            for answer in ({}, {"stream": True}, {"response": "image"}):
                image = base64.b64encode(PHOTOGRAPH).decode()
                in_json = {**body, "image": image, **answer}
                examples.append(operation.Case(body=in_json, media_type=JSON))
    if operation.path == "/media/{name}":
        name, signature = os.environ["PICTURE_URL"].split("/media/")[1].split("?signature=")
        path, query = {"name": name}, {"signature": signature}
        examples.append(operation.Case(path_parameters=path, query=query))


@schemathesis.hook
def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
    """Few steps where many are allowed: they change no answer's shape but take their time."""
    if case.media_type in (FORM, JSON) and isinstance(case.body, dict):
        steps = case.body.get("num_inference_steps", 75)
        if isinstance(steps, int) and STEPS < steps <= 1000:
            case.body["num_inference_steps"] = STEPS
    return case


@schemathesis.hook
def filter_failure(_: HookContext, failure: Failure, case: Case[Any], __: Response) -> bool:
    """False for a value in other words: a form knows no types, and JSON is read as leniently."""
    if not isinstance(failure, AcceptedNegativeData) or not isinstance(case.body, dict):
        return True
    if case.operation.path == "/estimate":
        return not all(_is_number(case.body.get(name)) for name in ("width", "height"))
    flags = (case.body.get(name, False) for name in ("safety_check", "stream"))
    return not all(str(flag).lower() in BOOLEANS for flag in flags)


def _is_number(value: Any) -> bool:
    try:
        return float(value) >= 1
    except (TypeError, ValueError):
        return False
