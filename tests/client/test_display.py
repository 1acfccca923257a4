import io
import time

import pytest
from rich.console import Console

from client.api import Decoding, Event, Queued, Step, Waiting
from client.display import Display


def terminal() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=True, width=120), file


def appears(text: str, file: io.StringIO) -> bool:
    """Whether the next drawing of the bars, ten times a second, has the text."""
    end = time.monotonic() + 5
    while text not in file.getvalue() and time.monotonic() < end:
        time.sleep(0.02)
    return text in file.getvalue()


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Queued(position=3), "queued, position 3"),
        (Step(step=5, steps=20, seconds_left=75), "5/20 steps"),
        (Step(step=5, steps=20, seconds_left=75), "0:01:15 left"),
        (Decoding(tile=1, tiles=9, seconds_left=75), "decoding, 1/9 tiles"),
        (Decoding(tile=1, tiles=9, seconds_left=75), "0:01:15 left"),
        (Decoding(tile=0, tiles=1), "decoding"),
        (Waiting(seconds=2.5), "server busy, again in 2.5 s"),
        (Waiting(seconds=9, is_cut=True), "again in 9 s, though it asked for longer"),
    ],
)
def test_an_event_is_shown(event: Event, text: str) -> None:
    console, file = terminal()
    with Display(console, 1) as display, display.image("[a].png") as show:
        show(event)
        assert appears(text, file)
        assert "[a].png" in file.getvalue()


def test_several_images_have_a_bar_for_all() -> None:
    console, file = terminal()
    with Display(console, 3) as display:
        assert appears("0/3", file)
        display.advance()
        assert appears("1/3", file)


def test_an_image_that_fails_leaves_no_bar() -> None:
    console, file = terminal()
    with Display(console, 2) as display:
        with pytest.raises(ValueError, match="x"), display.image("a.png"):
            raise ValueError("x")
        file.truncate(0)
        display.advance()
        assert appears("1/2", file)
        assert "a.png" not in file.getvalue()


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with Display(Console(file=file), 2) as display:
        with display.image("a.png") as show:
            show(Step(step=1, steps=2))
        display.advance()
        display.print("[a].png: failed")
    assert file.getvalue() == "[a].png: failed\n"


def test_where_there_is_no_terminal_a_line_says_now_and_then_how_things_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = io.StringIO()
    with Display(Console(file=file, width=200), 2) as display, display.image("a.png") as show:
        show(Step(step=1, steps=2))
        monkeypatch.setattr("client.display.LINE_INTERVAL_S", 0.0)
        show(Step(step=2, steps=2))
        show(Queued(position=3))
    assert file.getvalue() == "all 0/2, a.png 2/2 steps\nall 0/2, a.png queued, position 3\n"


def test_quiet_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.display.LINE_INTERVAL_S", 0.0)
    for is_terminal in (False, True):
        file = io.StringIO()
        console = Console(file=file, force_terminal=is_terminal)
        with Display(console, 2, is_quiet=True) as display, display.image("a.png") as show:
            show(Step(step=1, steps=2))
            display.advance()
            display.print("a.png: failed")
        assert file.getvalue() == "a.png: failed\n"
