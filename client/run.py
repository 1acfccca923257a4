"""A run: many jobs, some at a time."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from client.display import Display
from client.errors import ImageFailed, ServerUnusable
from client.form import Form
from client.jobs import Job
from client.output_file import write_whole
from client.report import Report, Written
from client.retry import with_retries
from client.server import Server


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
            if job.output.exists() and not self.overwrite:
                report.skipped.append(job)
            else:
                try:
                    report.written.append(await self._upscale(job))
                except (ImageFailed, OSError) as error:
                    report.failed.append(job)
                    self.display.print(f"Error: {job.source}: {error}")
            self.display.advance()

    async def _upscale(self, job: Job) -> Written:
        image = await asyncio.to_thread(job.source.read_bytes)
        form = replace(self.form, output_format=job.output_format)
        with self.display.image(job.source.name) as show:
            picture = await with_retries(
                lambda: self.server.upscale(image, form, show),
                self.retries,
                form.is_repeatable,
                show,
            )
        await asyncio.to_thread(write_whole, job.output, picture.content)
        return Written(job, picture.seed, picture.nsfw)
