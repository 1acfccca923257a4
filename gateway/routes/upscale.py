"""`POST /upscale`: the fields as a form or as JSON in, the picture as the caller wants it out."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Scope

from gateway.http.accept import preferred
from gateway.http.disconnect import CLIENT_CLOSED_REQUEST, run_while_connected
from gateway.http.error_answers import ErrorAnswers
from gateway.http.form_request import FormRoute
from gateway.http.json_body import MEDIA_TYPE as JSON
from gateway.http.json_body import is_json
from gateway.images.write import KINDS, OutputFormat
from gateway.routes.answer import CHECK, FileAnswer, UpscaleAnswer
from gateway.routes.events import MEDIA_TYPE as EVENTS
from gateway.routes.events import event_response
from gateway.routes.form import UpscaleForm, UpscaleJson
from gateway.schemas import HTTPError, ImageResponse
from gateway.upscaler import Upscaler

FORMATS: dict[str, OutputFormat] = {kind.media_type: name for name, kind in KINDS.items()}

bearer = HTTPBearer(auto_error=False)


class JsonRoute(APIRoute):
    """Takes the requests whose body is JSON; the others are the next route's."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        is_other = match is Match.FULL and not is_json(scope)
        return (Match.NONE, {}) if is_other else (match, child_scope)


def upscale_router(upscaler: Upscaler, error_answers: ErrorAnswers) -> APIRouter:
    """The route /upscale, exactly as the contract has it, with optional fields more, and as JSON.

    The token is checked before the body is read; see `Entrance`.
    """
    router = APIRouter()
    answer = partial(answer_request, upscaler, error_answers)

    async def from_json(request: Request) -> Response:
        return await answer(request, await upscaler.read_json(request.stream()))

    for path in ("/upscale", "/upscale/"):
        router.add_api_route(
            path,
            from_json,
            methods=["POST"],
            route_class_override=JsonRoute,
            response_model=None,
            include_in_schema=False,  # openapi.py writes its body beside the form
        )

    async def from_form(
        request: Request,
        form: Annotated[UpscaleForm, Form(media_type="multipart/form-data")],
    ) -> Response:
        return await answer(request, form)

    router.add_api_route(
        "/upscale",
        from_form,
        methods=["POST"],
        route_class_override=FormRoute,
        operation_id="genUpscale",
        summary="Upscale",
        description="Upscale an image by increasing its resolution.",
        tags=["generate"],
        response_model=ImageResponse,
        responses={
            200: {"content": {kind: {} for kind in (EVENTS, *FORMATS)}},
            **{status: {"model": HTTPError} for status in error_answers.statuses()},
        },
        dependencies=[Depends(bearer)],  # for the served document
    )
    router.add_api_route(
        "/upscale/",
        from_form,
        methods=["POST"],
        route_class_override=FormRoute,
        response_model=None,
        include_in_schema=False,
    )

    return router


async def answer_request(
    upscaler: Upscaler,
    error_answers: ErrorAnswers,
    request: Request,
    form: UpscaleForm | UpscaleJson,
) -> Response:
    """The whole way of a request: read it, make its picture, answer in the form asked for."""
    deadline, base_url = request.state.deadline, str(request.base_url)
    answered_as = media_type_for(form, request.headers.get("accept", ""))
    output_format = FORMATS.get(answered_as, form.output_format)
    inputs, output = await upscaler.read_inputs(form, output_format, deadline)
    headers = {CHECK: "skipped"} if form.skips_check(inputs.model) else {}
    as_file = form.response == "image" or answered_as in FORMATS
    make_answer: Callable[..., Coroutine[Any, Any, UpscaleAnswer | FileAnswer]] = (
        partial(upscaler.make_file, inputs, output, deadline)
        if as_file
        else partial(upscaler.make_answer, inputs, output, deadline, base_url)
    )
    if answered_as == EVENTS:
        return event_response(make_answer, error_answers, headers)
    try:
        return (await run_while_connected(request, make_answer())).response(headers)
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED_REQUEST)


def media_type_for(form: UpscaleForm | UpscaleJson, accept: str) -> str:
    """What to answer with: as the fields say, else as Accept does, else JSON."""
    if form.stream:
        return EVENTS
    own = KINDS[form.output_format].media_type
    if form.response == "image":
        return own
    # Who names events has always got them, beside JSON too.
    return preferred(accept, (EVENTS, own, *FORMATS, JSON), default=JSON)
