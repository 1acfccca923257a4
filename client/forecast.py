"""How long a run will take, told by the server before an image is sent."""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from client.api import Form
from client.files import STANDARD, Job
from client.limits import image_size
from client.server import Server

TIMEOUT_S = 5.0  # so long the images may wait to be sent


async def forecast(server: Server, form: Form, jobs: Sequence[Job], overwrite: bool) -> str | None:
    """A sentence with the images' seconds added up; None where the server or a file tells none.

    overwrite: those whose results are there are made as well. Images that are in flight at the same
    time share the machine, so that together they take what they would take one after the other.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            to_make = [job for job in jobs if overwrite or not job.is_done]
            sizes = Counter(
                [(await asyncio.to_thread(_size_of, job), job.output_format) for job in to_make]
            )
            seconds = 0.0
            for ((width, height), output_format), count in sizes.items():
                wanted = replace(form, output_format=output_format)
                estimate = await server.estimate(width, height, wanted)
                if estimate is None or estimate.seconds is None:
                    return None
                seconds += count * estimate.seconds
    except (OSError, ValueError, TimeoutError):
        return None
    if not to_make:
        return None
    images = "" if len(to_make) == 1 else f" for {len(to_make)} images"
    return f"About {timedelta(seconds=math.ceil(seconds))}{images}."


def _size_of(job: Job) -> tuple[int, int]:
    """Width and height. Raises OSError or ValueError for what has none."""
    if job.source == STANDARD:
        raise OSError("standard input is read once, when it is sent")
    return image_size(job.source)
