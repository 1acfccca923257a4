"""The bars in the terminal; where there is no terminal, a line now and then."""

import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from client.api import Decoding, Event, Queued, Step, Waiting

LINE_INTERVAL_S = 10.0  # where there is no terminal


class TimeLeft(ProgressColumn):
    """The server's guess where it has one, else rich's own from the steps so far."""

    def render(self, task: Task) -> Text:
        seconds = task.fields.get("seconds_left")
        seconds = task.time_remaining if seconds is None else seconds
        if seconds is None:
            return Text()
        return Text(f"{datetime.timedelta(seconds=round(seconds))} left", "progress.remaining")


class Display:
    """A bar for each image in flight and, for several images, one for all; in `with`.

    is_quiet: only what `print` is given.
    """

    def __init__(self, console: Console, images: int, is_quiet: bool = False) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeLeft(),
            console=console,
            transient=True,
            disable=is_quiet or not console.is_terminal,
        )
        self._has_lines = not (is_quiet or console.is_terminal)
        self._last_line = time.monotonic()
        self._images = images
        self._total = self._progress.add_task(
            "all", total=images, state=f"0/{images}", visible=images > 1
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    @contextmanager
    def image(self, name: str) -> Iterator[Callable[[Event], None]]:
        """A bar as long as the block lasts; it shows the events that the block hands it."""
        task = self._progress.add_task(name, total=None, state="working")

        def show(event: Event) -> None:
            match event:
                case Step(step=step, steps=steps, seconds_left=left):
                    state = f"{step}/{steps} steps"
                    self._progress.update(
                        task, completed=step, total=steps, state=state, seconds_left=left
                    )
                    self._say_now_and_then()
                    return
                case Decoding(tile=tile, tiles=tiles, seconds_left=left):
                    state = "decoding" if tiles == 1 else f"decoding, {tile}/{tiles} tiles"
                    self._progress.update(
                        task, completed=tile, total=tiles, state=state, seconds_left=left
                    )
                    return
                case Queued(position=position):
                    state = f"queued, position {position}"
                case Waiting(seconds=seconds, is_cut=is_cut):
                    state = f"server busy, again in {seconds:g} s"
                    state += ", though it asked for longer" * is_cut
            self._progress.reset(task, total=None, completed=0, state=state, seconds_left=None)
            self._say_now_and_then()

        try:
            yield show
        finally:
            self._progress.remove_task(task)

    def advance(self) -> None:
        """One image less to do."""
        self._progress.advance(self._total)
        done = self._progress.tasks[0].completed
        self._progress.update(self._total, state=f"{done:g}/{self._images}")
        self._say_now_and_then()

    def _say_now_and_then(self) -> None:
        """How things stand, in a line, where no bars show it."""
        now = time.monotonic()
        if self._has_lines and now - self._last_line >= LINE_INTERVAL_S:
            self._last_line = now
            tasks = [task for task in self._progress.tasks if task.visible]
            self.print(", ".join(f"{task.description} {task.fields['state']}" for task in tasks))

    def print(self, *words: str) -> None:
        """A line that stays, above the bars."""
        self._progress.console.print(*words, markup=False)
