"""Many jobs, over real HTTP on loopback."""

import asyncio
import io
from pathlib import Path

import pytest
from fastapi import Response
from rich.console import Console

from client.display import Display
from client.errors import ServerUnusable
from client.form import Form
from client.jobs import Job, make_folders
from client.report import Report
from client.run import Runner
from client.server import Server
from tests.client.loopback import Loopback, Sent, refused, streamed


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """Six images, each with its own name in it."""
    (tmp_path / "photos").mkdir()
    jobs = [
        Job(tmp_path / "photos" / f"{name}.jpg", tmp_path / "out" / f"{name}.png")
        for name in "abcdef"
    ]
    for job in jobs:
        job.source.write_text(job.source.stem)
    make_folders(jobs)
    return jobs


def names(jobs: list[Job]) -> str:
    return "".join(sorted(job.source.stem for job in jobs))


async def run(
    url: str, jobs: list[Job], report: Report, concurrency: int = 2, overwrite: bool = False
) -> str:
    """What the run prints."""
    printed = io.StringIO()
    console = Console(file=printed, soft_wrap=True)
    async with Server(url, None, 10) as server:
        with Display(console, len(jobs)) as display:
            runner = Runner(server, Form("a cat"), display, concurrency, 0, overwrite)
            await runner.run(jobs, report)
    return printed.getvalue()


def test_so_many_are_in_flight_and_no_more(loopback: Loopback, jobs: list[Job]) -> None:
    in_flight = most = 0
    together = asyncio.Barrier(3)

    async def answer(sent: Sent) -> Response:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        async with asyncio.timeout(5):
            await together.wait()
        await asyncio.sleep(0.05)  # a fourth one would come meanwhile
        in_flight -= 1
        return await streamed(sent)

    loopback.answer = answer
    report = Report()
    assert asyncio.run(run(loopback.url, jobs, report, concurrency=3)) == ""
    assert most == 3
    assert names([written.job for written in report.written]) == "abcdef"
    for job in jobs:
        assert job.output.read_bytes().endswith(job.source.read_bytes())


def test_what_exists_is_skipped(loopback: Loopback, jobs: list[Job]) -> None:
    jobs[1].output.write_text("before")
    report = Report()
    asyncio.run(run(loopback.url, jobs, report))
    assert names(report.skipped) == "b"
    assert len(report.written) == len(loopback.sent) == 5
    assert jobs[1].output.read_text() == "before"


def test_what_exists_is_made_again_if_asked_for(loopback: Loopback, jobs: list[Job]) -> None:
    jobs[1].output.write_text("before")
    report = Report()
    asyncio.run(run(loopback.url, jobs, report, overwrite=True))
    assert len(report.written) == 6
    assert jobs[1].output.read_bytes().endswith(b"b")


def test_one_that_fails_does_not_stop_the_others(loopback: Loopback, jobs: list[Job]) -> None:
    async def answer(sent: Sent) -> Response:
        if sent.image == b"c":
            return await refused(400, "The image is broken.")(sent)
        return await streamed(sent)

    loopback.answer = answer
    jobs[4].source.unlink()
    report = Report()
    printed = asyncio.run(run(loopback.url, jobs, report))
    assert names(report.failed) == "ce"
    assert len(report.written) == 4
    assert f"Error: {jobs[2].source}: The image is broken.\n" in printed
    assert "No such file" in printed


def test_a_server_that_refuses_the_token_is_asked_no_more(
    loopback: Loopback, jobs: list[Job]
) -> None:
    loopback.answer = refused(401, "Invalid bearer token.")
    report = Report()
    with pytest.raises(ServerUnusable, match="Invalid bearer token"):
        asyncio.run(run(loopback.url, jobs, report))
    assert report == Report()
    assert len(loopback.sent) <= 2


def test_cancelling_takes_the_requests_along(loopback: Loopback, jobs: list[Job]) -> None:
    async def cancelled() -> None:
        arrived = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def never(_: Sent) -> Response:
            loop.call_soon_threadsafe(arrived.set)
            await asyncio.sleep(0.5)
            raise ConnectionResetError

        loopback.answer = never
        task = asyncio.create_task(run(loopback.url, jobs, report))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 0.4)

    report = Report()
    asyncio.run(cancelled())
    assert report == Report()
    assert list(jobs[0].output.parent.iterdir()) == []
