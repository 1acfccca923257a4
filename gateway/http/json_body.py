"""A body of JSON as an object of fields, read as strictly as RFC 8259 lets one."""

import json
from collections import Counter
from typing import Any, NoReturn, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.types import Scope

from gateway.errors import InvalidRequest

MEDIA_TYPE = "application/json"
MARKS = (b"[", b"{", b",")  # of what a decoder makes an object in memory

Fields = TypeVar("Fields", bound=BaseModel)


def is_json(scope: Scope) -> bool:
    """Whether a request says that its body is JSON."""
    content_type = Headers(scope=scope).get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == MEDIA_TYPE


def fields_of_json(content: bytes, max_marks: int) -> dict[str, Any]:
    """The object in a body: every name once, no NaN.

    max_marks: commas and opening brackets, the ones in strings too; a body of millions of them
    takes a hundred times its bytes in memory. Raises InvalidRequest for anything else.
    """
    if sum(content.count(mark) for mark in MARKS) > max_marks:
        raise InvalidRequest("The JSON body has too many parts; send one object of fields.")
    try:
        fields = json.loads(
            content.decode("utf-8-sig"),
            object_pairs_hook=_object_of_unique_names,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not JSON: {error.msg} at character {error.pos}."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not JSON: it is not in UTF-8.") from error
    except RecursionError as error:
        raise InvalidRequest("The JSON body is nested too deeply; send one object.") from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise InvalidRequest("The JSON body has a number of too many digits.") from error
    if not isinstance(fields, dict):
        raise InvalidRequest("The JSON body must be an object of fields.")
    for text in (*fields, *fields.values()):
        if isinstance(text, str) and not _is_unicode(text):
            raise InvalidRequest("The JSON body has half of a surrogate pair, which is no text.")
    return fields


def validated(kind: type[Fields], fields: dict[str, Any]) -> Fields:
    """The fields as a model's. Raises RequestValidationError as FastAPI does of a form."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError(
            [{**entry, "loc": ("body", *entry["loc"])} for entry in error.errors()]
        ) from error


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _object_of_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise InvalidRequest(f"The JSON body has {name[:100]!r} more than once.")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequest(f"The body is not JSON: {name} is no number.")
