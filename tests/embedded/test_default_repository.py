"""The repository that `make run` serves, exported once and then kept."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import psutil
import pytest

from embedded import default_repository as default
from embedded import serve
from embedded.triton import free_port
from gateway.serve import ServeError
from gateway.settings import Settings


def test_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    async def export(repository: Path) -> None:
        made.append(repository)
        repository.mkdir()

    monkeypatch.setattr(default, "CACHE", tmp_path)
    monkeypatch.setattr(default, "export_demo_model", export)
    old = tmp_path / "repository-of-an-older-version"
    old.mkdir()
    said: list[str] = []
    repository = asyncio.run(default.default_repository(said.append))
    assert asyncio.run(default.default_repository(said.append)) == repository
    assert made == [repository]
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [repository]
    assert sum("once" in line for line in said) == 1
    assert sum("small demo model" in line for line in said) == 2


def test_servers_that_start_at_once_make_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    async def export(repository: Path) -> None:
        made.append(repository)
        await asyncio.sleep(0.2)  # long enough for the others to look
        repository.mkdir()

    async def start_three() -> list[Path]:
        return await asyncio.gather(*(default.default_repository(lambda _: None) for _ in "123"))

    monkeypatch.setattr(default, "CACHE", tmp_path)
    monkeypatch.setattr(default, "export_demo_model", export)
    [repository] = set(asyncio.run(start_three()))
    assert made == [repository]


def test_its_name_changes_with_what_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    before = default.fingerprint()
    assert default.fingerprint() == before
    monkeypatch.setattr(default, "tool_versions", lambda: {"torch": "9.9"})
    assert default.fingerprint() != before


def test_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default, "CHECKPOINT", tmp_path)
    with pytest.raises(ServeError, match="could not be exported"):
        asyncio.run(default.export_demo_model(tmp_path / "out"))


def test_a_server_that_is_stopped_meanwhile_ends_the_export(tmp_path: Path) -> None:
    async def stop() -> None:
        exporting = asyncio.create_task(default.export_demo_model(tmp_path / "out"))
        await asyncio.sleep(0.2)
        [child] = [
            process
            for process in psutil.Process().children()
            if str(tmp_path / "out") in process.cmdline()
        ]
        exporting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exporting
        assert not child.is_running()

    asyncio.run(stop())
    assert list(tmp_path.iterdir()) == []


def test_the_server_listens_while_the_model_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def export(_: object) -> Path:
        await asyncio.Event().wait()
        raise AssertionError

    async def start_and_stop() -> None:
        settings = Settings.from_environment(port=free_port())
        serving = asyncio.create_task(serve.serve(None, settings, lambda _: None))
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    health = await client.get(f"http://127.0.0.1:{settings.port}/health")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        assert health.status_code == 503
        assert health.json()["status"] == "LOADING"
        assert health.json()["stage"].startswith("the demo model is exported")
        os.kill(os.getpid(), signal.SIGTERM)
        await serving

    monkeypatch.setattr(serve, "default_repository", export)
    asyncio.run(start_and_stop())
