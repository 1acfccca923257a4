"""The page at `/` and the API's at `/docs`: static files that ask no other host for anything."""

from importlib.resources import files as files_of
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles

from gateway.settings import Settings

FOLDER = Path(__file__).parents[1] / "page"
SWAGGER_UI = Path(str(files_of("fastapi_offline"))) / "static"
# Browsers keep a copy, and ask each time whether it is still the one.
HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


class PageFiles(StaticFiles):
    """The page's files, each with the policy that the browser holds it to."""

    def __init__(self, settings: Settings, folder: Path = FOLDER) -> None:
        super().__init__(directory=folder)
        images = " ".join(["'self'", "data:", "blob:", *result_sources(settings)])
        policy = (
            f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images};"
            " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        self._headers = {**HEADERS, "Content-Security-Policy": policy}

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Starlette's, with the headers."""
        response = super().file_response(*arguments, **options)
        response.headers.update(self._headers)
        return response


def page_router(files: PageFiles) -> APIRouter:
    """`GET /` and `/docs`; the files that they name are mounted at /page and /docs/files."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    @router.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return await files.get_response("docs.html", request.scope)

    return router


def result_sources(settings: Settings) -> list[str]:
    """Where the browser finds results that are not of this server, as CSP's host sources."""
    if settings.media == "local" and settings.media_url is not None:
        return [origin(settings.media_url)]
    if settings.media.startswith("s3://"):
        endpoint = settings.aws_endpoint_url
        return [origin(endpoint)] if endpoint else ["https://*.amazonaws.com"]
    return []


def origin(url: str) -> str:
    """Scheme, host and port: https://www.rfc-editor.org/rfc/rfc6454."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
