"""The bars in the terminal; where there is no terminal, none."""

import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from client.api import Event, Queued, Step, Waiting


class TimeLeft(ProgressColumn):
    """The server's guess where it has one, else rich's own from the steps so far."""

    def render(self, task: Task) -> Text:
        seconds = task.fields.get("seconds_left")
        seconds = task.time_remaining if seconds is None else seconds
        if seconds is None:
            return Text()
        return Text(f"{datetime.timedelta(seconds=round(seconds))} left", "progress.remaining")


class Display:
    """A bar for each image in flight and, for several images, one for all; in `with`."""

    def __init__(self, console: Console, images: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeLeft(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
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
                    return
                case Queued(position=position):
                    state = f"queued, position {position}"
                case Waiting(seconds=seconds, is_cut=is_cut):
                    state = f"server busy, again in {seconds:g} s"
                    state += ", though it asked for longer" * is_cut
            self._progress.reset(task, total=None, completed=0, state=state, seconds_left=None)

        try:
            yield show
        finally:
            self._progress.remove_task(task)

    def advance(self) -> None:
        """One image less to do."""
        self._progress.advance(self._total)
        done = self._progress.tasks[0].completed
        self._progress.update(self._total, state=f"{done:g}/{self._images}")

    def print(self, *words: str) -> None:
        """A line that stays, above the bars."""
        self._progress.console.print(*words, markup=False)
