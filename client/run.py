"""A run: many jobs, some at a time, each sent again where that helps, and what became of them."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from client.api import Form, Waiting
from client.display import Display
from client.errors import Busy, ConnectionLost, ImageFailed, ServerUnusable
from client.files import Job
from client.limits import refusal
from client.server import Server

T = TypeVar("T")


@dataclass(frozen=True)
class Written:
    """A job that is done, with what the server said of its picture."""

    job: Job
    seed: int
    nsfw: bool
    seconds: float = 0.0  # from the image's file to the result's


@dataclass
class Report:
    """The jobs so far, by what became of them; those in no list are not done.

    is_json: each is a line of JSON on standard output as soon as that is known.
    """

    written: list[Written] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    failed: list[Job] = field(default_factory=list)
    is_json: bool = False

    def write(self, written: Written) -> None:
        """Note a job that is done."""
        self.written.append(written)
        seconds = round(written.seconds, 3)
        self._line(written.job, seed=written.seed, nsfw=written.nsfw, seconds=seconds)

    def skip(self, job: Job) -> None:
        """Note a job whose result is there."""
        self.skipped.append(job)
        self._line(job, skipped=True)

    def fail(self, job: Job, reason: str) -> None:
        """Note a job without a result."""
        self.failed.append(job)
        self._line(job, error=reason)

    def _line(self, job: Job, **told: str | int | float | bool) -> None:
        if self.is_json:
            line = {"input": str(job.source), "output": str(job.output), **told}
            sys.stdout.write(f"{json.dumps(line)}\n")
            sys.stdout.flush()

    def summary(self, jobs: int) -> str:
        """A line or more about a run of so many jobs."""
        if jobs == 1 and self.written:
            lines = [f"Wrote {self.written[0].job.output_name}, seed {self.written[0].seed}."]
        elif jobs == 1 and self.skipped:
            lines = [f"{self.skipped[0].output} exists; --overwrite makes it again."]
        else:
            counts = {
                "upscaled": len(self.written),
                "skipped because they exist": len(self.skipped),
                "failed": len(self.failed),
                "not done": jobs - len(self.written) - len(self.skipped) - len(self.failed),
            }
            told = [f"{count} {what}" for what, count in counts.items() if count]
            lines = [", ".join(told) + "."]
        flagged = [str(written.job.output) for written in self.written if written.nsfw]
        if flagged:
            lines.append(f"Flagged by the safety checker: {', '.join(flagged)}.")
        return "\n".join(lines)


@dataclass(frozen=True)
class Runner:
    """How the jobs of a run are done.

    At most `concurrency` images are with the server at a time. What exists is skipped unless
    `overwrite`. `retries` counts the times that a busy server is asked again for one image.
    """

    server: Server
    form: Form
    display: Display
    concurrency: int
    retries: int
    overwrite: bool

    async def run(self, jobs: Sequence[Job], report: Report) -> None:
        """Do all jobs, noting in report what becomes of each.

        An image that fails is told and counted, and the others go on. Raises ServerUnusable, and
        then the jobs that are in no list of the report are not done. When cancelled, so are the
        requests.
        """
        pending = iter(jobs)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.concurrency, len(jobs))):
                    group.create_task(self._work(pending, report))
        except* ServerUnusable as errors:
            reason = errors.exceptions[0]
        else:
            return
        raise reason

    async def _work(self, pending: Iterator[Job], report: Report) -> None:
        for job in pending:
            try:
                if job.is_done and not self.overwrite:
                    report.skip(job)
                else:
                    report.write(await self._upscale(job))
            except (ImageFailed, OSError) as error:
                reason = str((error.strerror if isinstance(error, OSError) else None) or error)
                report.fail(job, reason)
                self.display.print(f"Error: {job.source}: {reason}")
            self.display.advance()

    async def _upscale(self, job: Job) -> Written:
        began = time.monotonic()
        image = await asyncio.to_thread(job.read)
        form = replace(self.form, output_format=job.output_format)
        model = await self.server.model()
        if model and (reason := refusal(image, model, fit=bool(form.fit))):
            raise ImageFailed(reason)
        with self.display.image(job.name) as show:
            picture = await with_retries(
                lambda: self.server.upscale(image, form, show),
                self.retries,
                self.server.timeout_s,
                form.is_repeatable,
                show,
            )
        await asyncio.to_thread(job.write, picture.content)
        return Written(job, picture.seed, picture.nsfw, time.monotonic() - began)


async def with_retries(
    attempt: Callable[[], Awaitable[T]],
    retries: int,
    longest_wait_s: float,
    is_repeatable: bool,
    show: Callable[[Waiting], None],
) -> T:
    """Await attempt until it succeeds, fails, or has been told `retries` times that it is busy.

    Each wait is as long as the server asks, but at most longest_wait_s: a server may name any time,
    a day too. A lost connection is tried once more, at once, and only if that would give the same
    picture: the server may have made the lost one.
    """
    while True:
        try:
            return await attempt()
        except Busy as error:
            if retries == 0:
                raise
            retries -= 1
            wait_s = min(error.retry_after_s, longest_wait_s)
            show(Waiting(seconds=wait_s, is_cut=wait_s < error.retry_after_s))
            await asyncio.sleep(wait_s)
        except ConnectionLost:
            if not is_repeatable:
                raise
            is_repeatable = False
