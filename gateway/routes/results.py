"""`GET /media/{name}`: the results of MEDIA=local, to whoever has a signed link."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse

from gateway.images.write import KINDS
from gateway.results.link import gone, not_found
from gateway.results.store import NAME, LocalResults
from gateway.schemas import HTTPError
from gateway.tasks import in_background, repeat

SWEEP_INTERVAL_S = 60.0
MEDIA_TYPES = {kind.suffix: kind.media_type for kind in KINDS.values()}


def results_router(results: LocalResults) -> APIRouter:
    """The route, and for as long as the application runs the sweeping of what has expired."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        remove_expired = partial(asyncio.to_thread, results.remove_expired)
        async with in_background(repeat("Sweeping MEDIA_DIR", remove_expired, SWEEP_INTERVAL_S)):
            yield

    router = APIRouter(tags=["media"], lifespan=lifespan)

    @router.get(
        "/media/{name}",
        response_class=FileResponse,
        responses={
            200: {"content": {media_type: {} for media_type in MEDIA_TYPES.values()}},
            **{status: {"model": HTTPError} for status in (404, 410)},
        },
    )
    async def get_result(name: str, signature: str = "") -> FileResponse:
        """A result, by the link that /upscale gave."""
        # Only names of our own making can lead to a file: no slash, no dot at the beginning.
        matched = NAME.fullmatch(name)
        if matched is None:
            raise not_found()
        remaining_s = results.links.remaining_s(name, signature)
        path = results.folder / name
        try:
            status = await asyncio.to_thread(os.lstat, path)
        except FileNotFoundError as error:
            raise gone() from error
        if not stat.S_ISREG(status.st_mode):  # a symbolic link is not ours
            raise not_found()
        headers = {
            "Cache-Control": f"private, max-age={remaining_s}",
            "Content-Security-Policy": "default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        }
        return FileResponse(
            path, headers=headers, media_type=MEDIA_TYPES[matched[1]], stat_result=status
        )

    return router
