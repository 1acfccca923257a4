"""The page at `/` in a browser, and what a person does on it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    FilePayload,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.photographs import file_of, photograph
from tests.server import Server

SIDE = 48
PHOTOGRAPH: FilePayload = {
    "name": "cat.on.a.mat.png",
    "mimeType": "image/png",
    "buffer": file_of(photograph("cat", SIDE, SIDE)),
}
# 1000 steps of it outlast a test, on whatever machine.
LARGE: FilePayload = {**PHOTOGRAPH, "buffer": file_of(photograph("coffee", 256, 256))}
NO_IMAGE: FilePayload = {"name": "x.png", "mimeType": "image/png", "buffer": b"no image"}
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_MS = 60_000  # for a machine that is busy with others
expect.set_options(timeout=TIMEOUT_MS)

Open = Callable[..., Page]


@contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, (
        "the page is tested in Chromium; install it (Debian: apt-get install chromium)"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def opener(browser: Browser) -> Iterator[Open]:
    """Open a server's page; at the end nothing was logged and no other host was asked."""
    opened: list[tuple[Page, str, list[str], list[str]]] = []

    def open_it(server: Server, is_quiet: bool = True, **options: object) -> Page:
        page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
        page.set_default_timeout(TIMEOUT_MS)
        said: list[str] = []
        asked: list[str] = []
        if is_quiet:  # Chromium logs every answer that is an error
            page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(host_of(request)))
        page.goto(server.url)
        opened.append((page, server.url, said, asked))
        return page

    yield open_it
    for page, url, said, asked in opened:
        assert said == [], said
        assert set(asked) <= {urlsplit(url).netloc, ""}  # blob: and data: have no host
        page.context.close()


def host_of(request: Request) -> str:
    return urlsplit(request.url).netloc


def choose(page: Page, steps: int, chosen: FilePayload = PHOTOGRAPH) -> None:
    page.get_by_label("Choose an image").set_input_files(chosen)
    if not page.get_by_label("Steps").is_visible():
        page.get_by_text("Options").click()
    page.get_by_label("Steps").fill(str(steps))


def submit(page: Page) -> None:
    page.get_by_role("button", name="Upscale").click()


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem").filter(has_text=name)
