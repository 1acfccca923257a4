"""What schemathesis cannot know from the document: good requests, and how forms spell booleans."""

import os
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure

from tests.photographs import file_of, photograph

PHOTOGRAPH = file_of(photograph("cat", 24, 16))
FORM = "multipart/form-data"
STEPS = 4


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
    if operation.path == "/media/{name}":
        name, signature = os.environ["PICTURE_URL"].split("/media/")[1].split("?signature=")
        path, query = {"name": name}, {"signature": signature}
        examples.append(operation.Case(path_parameters=path, query=query))


@schemathesis.hook
def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
    """Few steps where many are allowed: they change no answer's shape but take their time."""
    if case.media_type == FORM and isinstance(case.body, dict):
        steps = case.body.get("num_inference_steps", 75)
        if isinstance(steps, int) and STEPS < steps <= 1000:
            case.body["num_inference_steps"] = STEPS
    return case


@schemathesis.hook
def filter_failure(_: HookContext, failure: Failure, case: Case[Any], __: Response) -> bool:
    """False for a boolean in other words: a form knows no types, and ai-runner takes 0 or yes."""
    return not (
        isinstance(failure, AcceptedNegativeData)
        and isinstance(case.body, dict)
        and str(case.body.get("safety_check")).lower() in ("0", "1", "no", "yes", "off", "on")
    )
