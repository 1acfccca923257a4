"""Many jobs, over real HTTP on loopback; retries; and what is told of a run."""

import asyncio
import io
import time
from pathlib import Path

import pytest
from fastapi import Response
from rich.console import Console

from client.api import Form, Waiting
from client.display import Display
from client.errors import Busy, ConnectionLost, ImageFailed, ServerUnusable
from client.files import Job, make_folders
from client.run import Report, Runner, Written, with_retries
from client.server import Server
from tests.client.loopback import Loopback, Sent, in_turn, refused, streamed


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
    url: str,
    jobs: list[Job],
    report: Report,
    concurrency: int = 2,
    retries: int = 0,
    overwrite: bool = False,
    timeout_s: float = 10,
) -> str:
    """What the run prints."""
    printed = io.StringIO()
    console = Console(file=printed, soft_wrap=True)
    async with Server(url, None, timeout_s) as server:
        with Display(console, len(jobs)) as display:
            runner = Runner(server, Form("a cat"), display, concurrency, retries, overwrite)
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


def test_a_busy_server_that_names_a_day_is_asked_again_within_the_time_of_an_attempt(
    loopback: Loopback, jobs: list[Job]
) -> None:
    loopback.answer = in_turn(refused(503, "Loading.", retry_after="86400"), streamed)
    report = Report()
    done = run(loopback.url, jobs[:1], report, retries=1, timeout_s=0.5)
    asyncio.run(asyncio.wait_for(done, 60))
    assert len(report.written) == 1
    assert len(loopback.sent) == 2


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
            await asyncio.sleep(60)
            raise ConnectionResetError

        loopback.answer = never
        task = asyncio.create_task(run(loopback.url, jobs, report))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)

    report = Report()
    asyncio.run(cancelled())
    assert report == Report()
    assert list(jobs[0].output.parent.iterdir()) == []


BUSY = Busy("full", 0.01)
LOST = ConnectionLost("broken")


def tried(
    outcomes: list[Exception | str],
    retries: int = 5,
    is_repeatable: bool = True,
    longest_wait_s: float = 60,
) -> tuple[str, list[Waiting]]:
    """What comes of attempts with these outcomes, and the waits that were shown."""
    waits: list[Waiting] = []
    left = iter(outcomes)

    async def attempt() -> str:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    done = with_retries(attempt, retries, longest_wait_s, is_repeatable, waits.append)
    return asyncio.run(asyncio.wait_for(done, 10)), waits


def test_it_waits_as_long_as_the_server_asks() -> None:
    begin = time.monotonic()
    assert tried([BUSY, BUSY, "done"]) == ("done", 2 * [Waiting(seconds=0.01)])
    assert time.monotonic() - begin >= 0.02


@pytest.mark.parametrize("asked_s", [86400.0, float("inf")])
def test_it_waits_no_longer_than_it_is_told_to(asked_s: float) -> None:
    outcomes: list[Exception | str] = [Busy("full", asked_s), "done"]
    waits = [Waiting(seconds=0.01, is_cut=True)]
    assert tried(outcomes, longest_wait_s=0.01) == ("done", waits)


def test_retries_are_counted() -> None:
    assert tried([BUSY, BUSY, "done"], retries=2)[0] == "done"
    with pytest.raises(Busy):
        tried([BUSY, BUSY, "done"], retries=1)


def test_a_lost_connection_is_tried_once_more() -> None:
    assert tried([LOST, "done"], retries=0) == ("done", [])
    with pytest.raises(ConnectionLost):
        tried([LOST, LOST, "done"])


def test_a_lost_connection_without_a_seed_is_final() -> None:
    with pytest.raises(ConnectionLost):
        tried([LOST, "done"], is_repeatable=False)


def test_other_failures_are_final() -> None:
    with pytest.raises(ImageFailed, match="bad image"):
        tried([ImageFailed("bad image"), "done"])


A, B, C, D, E = (Job(Path(f"{name}.jpg"), Path(f"{name}.png")) for name in "abcde")


def test_one_image_is_told_by_name() -> None:
    assert Report(written=[Written(A, 7, False)]).summary(1) == "Wrote a.png, seed 7."
    assert Report(skipped=[A]).summary(1) == "a.png exists; --overwrite makes it again."
    assert Report(failed=[A]).summary(1) == "1 failed."
    assert Report().summary(1) == "1 not done."


def test_several_are_counted() -> None:
    report = Report([Written(A, 7, False), Written(B, 8, False)], [C], [D])
    assert report.summary(5) == "2 upscaled, 1 skipped because they exist, 1 failed, 1 not done."


def test_flagged_pictures_are_named() -> None:
    summary = Report([Written(A, 7, True), Written(B, 8, False), Written(C, 9, True)]).summary(3)
    assert summary == "3 upscaled.\nFlagged by the safety checker: a.png, c.png."
