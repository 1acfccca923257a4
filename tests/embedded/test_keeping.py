"""When Triton is started again, and when not."""

import asyncio
import errno
from collections.abc import Callable

import psutil
import pytest

from embedded import serve
from embedded.errors import TritonError
from embedded.serve import _keep_running
from embedded.triton import has_ended


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "WATCH_INTERVAL_S", 0.001)
    monkeypatch.setattr(serve, "START_INTERVAL_S", 0.001)
    monkeypatch.setattr(serve, "END_TIMEOUT_S", 0.01)


class FakeReadiness:
    def __init__(self) -> None:
        self.ready, self.lost = asyncio.Event(), asyncio.Event()

    def lose(self) -> None:
        self.ready.clear()
        self.lost.set()

    def pass_(self) -> None:
        self.lost.clear()
        self.ready.set()


class FakeTriton:
    """It runs until a test says otherwise."""

    def __init__(self) -> None:
        self.on_start: Callable[[], None] = lambda: None  # at the end of a start
        self.errors: list[OSError] = []  # of the next starts
        self.status: int | None = None
        self.dead: list[psutil.Process] = []
        self.starts = self.kills = 0

    def ended(self) -> int | None:
        return self.status

    def stubs(self) -> list[psutil.Process]:
        return self.dead

    def failure(self) -> TritonError:
        return TritonError("it failed")

    def kill(self) -> None:
        self.kills += 1

    def start(self) -> None:
        if self.errors:
            raise self.errors.pop()
        self.status, self.dead = None, []
        self.starts += 1
        self.on_start()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def dead_process() -> psutil.Process:
    process = psutil.Popen(["true"])
    process.wait()
    return process


def fail(triton: FakeTriton, part: str) -> None:
    """Let Triton or one of its stubs end."""
    triton.status = 1 if part == "triton" else None
    triton.dead = [dead_process()] if part == "stub" else []


async def keep(triton: FakeTriton, readiness: FakeReadiness, say: Callable[[str], None]) -> None:
    async with asyncio.timeout(5):
        await _keep_running(triton, readiness, say)  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["triton", "stub"])
def test_what_fails_twice_before_it_has_served_ends_the_server(part: str) -> None:
    triton, said = FakeTriton(), list[str]()

    async def main() -> None:
        fail(triton, part)
        triton.on_start = lambda: fail(triton, part)
        await keep(triton, FakeReadiness(), said.append)

    with pytest.raises(TritonError, match="it failed"):
        asyncio.run(main())
    assert triton.starts == 1
    assert said == ["it failed Starting it once more."]


async def served(triton: FakeTriton, readiness: FakeReadiness) -> list[str]:
    """What is said until Triton's failure after it has served is seen."""
    said: list[str] = []
    keeping = asyncio.create_task(keep(triton, readiness, said.append))
    await until(readiness.ready.is_set)
    await asyncio.sleep(0.01)
    readiness.lose()
    await until(lambda: "Triton has failed; starting it again." in said)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    return said


def test_a_first_start_that_fails_once_is_no_failure() -> None:
    async def main() -> None:
        triton, readiness = FakeTriton(), FakeReadiness()
        fail(triton, "triton")
        triton.on_start = readiness.pass_
        assert (await served(triton, readiness))[0] == "it failed Starting it once more."

    asyncio.run(main())


def test_what_serves_though_a_child_has_ended_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "END_TIMEOUT_S", 5)

    async def main() -> None:
        triton, readiness = FakeTriton(), FakeReadiness()
        fail(triton, "stub")
        passing = asyncio.create_task(_pass_later(triton, readiness))
        assert await served(triton, readiness) == ["Triton has failed; starting it again."]
        await passing

    asyncio.run(main())


async def _pass_later(triton: FakeTriton, readiness: FakeReadiness) -> None:
    await asyncio.sleep(0.02)
    triton.dead = []
    readiness.pass_()


def test_what_has_served_is_started_again_until_it_can_be() -> None:
    async def main() -> None:
        triton, readiness, said = FakeTriton(), FakeReadiness(), list[str]()
        readiness.pass_()
        keeping = asyncio.create_task(
            _keep_running(triton, readiness, said.append)  # type: ignore[arg-type]
        )
        await asyncio.sleep(0.01)
        triton.errors = [OSError(errno.ENOSPC, "No space left on device")]
        readiness.lose()
        await until(lambda: triton.starts == 1)
        assert triton.kills == 2
        assert "Triton cannot be started: [Errno 28] No space left on device. Trying again." in said
        triton.status = 1  # before it serves again
        await until(lambda: triton.starts == 2)
        triton.dead = [dead_process()]
        await until(lambda: triton.starts == 3)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(main())


def test_what_cannot_be_seen_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(_: psutil.Process) -> bool:
        raise OSError(errno.EMFILE, "Too many open files")

    assert has_ended(dead_process())
    monkeypatch.setattr(psutil.Process, "is_running", no_file)
    assert not has_ended(psutil.Process())
