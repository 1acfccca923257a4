"""The loop that steps every job: admit, one UNet call a batch, advance, send or keep."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from stages.admission import Admission
from stages.batching import batches
from stages.job import Caller, Job, Request, Tile
from stages.prediction import UNet, predict

SIGN_OF_LIFE_S = 1.0  # between two reports to a caller whose job waits
logger = logging.getLogger("denoise")


class InsufficientCapacity(Exception):
    """As many jobs wait as may; nothing of this request was done."""


class DeadlineExceeded(Exception):
    """The caller's time was over before its job was."""


@dataclass
class Counts:
    """What became of jobs, and how the UNet was called, since the start."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    refused: int = 0
    unet_calls: int = 0
    unet_rows: int = 0
    unet_seconds: float = 0.0


@dataclass(eq=False)
class Entry:
    """A caller with its request and, once admitted, its job."""

    request: Request
    caller: Caller
    job: Job | None = None
    reported: int = 0
    reported_at: float = field(default_factory=time.monotonic)

    def report(self) -> None:
        """Tell the caller how far its job is, if it is further than at the last time.

        One whose job waits is told so at times: then the loop is alive.
        """
        now = time.monotonic()
        if self.job is None:
            if now - self.reported_at < SIGN_OF_LIFE_S:
                return
            progress = 0, self.request.num_inference_steps * len(self.request.tiles)
            denoised = None
        else:
            progress = self.job.progress
            if progress[0] == self.reported:
                return
            denoised = self.job.take_denoised()
        self.reported, self.reported_at = progress[0], now
        try:
            self.caller.report(progress, denoised)
        except Exception:  # of this caller alone
            logger.exception("progress could not be sent")

    def send(self) -> None:
        """Answer the caller with its finished job."""
        assert self.job is not None
        try:
            self.caller.send(self.job)
        except (
            Exception
        ) as error:  # of this caller alone: the memory for its latents may be missing
            logger.exception("a finished job could not be sent")
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Answer the caller with an error."""
        try:
            self.caller.fail(error)
        except Exception:  # of this caller alone
            logger.exception("an error could not be sent")


@dataclass(frozen=True)
class Work:
    """One tile of an entry's job, for one UNet call."""

    entry: Entry
    job: Job
    tile: Tile

    @property
    def size(self) -> tuple[int, int]:
        return self.tile.size

    @property
    def rows(self) -> int:
        return self.job.rows


class DenoiseLoop:
    """Continuous batching over one UNet, on a thread of its own.

    It goes in rounds. A round takes every active job further: one of a single tile by a step, a
    tiled one by a share of its tiles, so that neither waits for the other for long.

    unet: one call; see prediction.py.
    make_job: builds a job when it is admitted, so that a waiting one holds only its request.
    unet_batch_size: rows in one call. admission: which jobs are active. max_waiting: jobs behind
    them; one more is refused. on_round: called on the loop's thread after every round, before those
    whose jobs it finished are answered.
    """

    def __init__(
        self,
        unet: UNet,
        make_job: Callable[[Request], Job],
        unet_batch_size: int,
        admission: Admission,
        max_waiting: int,
        on_round: Callable[["DenoiseLoop"], None],
    ) -> None:
        self._unet = unet
        self._make_job = make_job
        self._unet_batch_size = unet_batch_size
        self._admission = admission
        self._max_waiting = max_waiting
        self._on_round = on_round
        self._waiting: deque[Entry] = deque()
        self._active: list[Entry] = []
        self._changed = threading.Condition()
        self._stopping = False
        self.counts = Counts()
        self._thread = threading.Thread(target=self._run, name="denoise-loop")

    @property
    def active(self) -> int:
        return len(self._active)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish what was submitted, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def submit(self, request: Request, caller: Caller) -> None:
        """Hand a request over.

        Raises InsufficientCapacity when as many wait as may, InvalidRequest when it would not fit
        into the memory budget even alone.
        """
        self._admission.check(request)
        with self._changed:
            places = self._admission.max_active + self._max_waiting
            if len(self._active) + len(self._waiting) >= places:
                self.counts.refused += 1
                raise InsufficientCapacity(
                    f"insufficient capacity: {len(self._active) + len(self._waiting)} requests are"
                    " being worked on or wait already; try again later."
                )
            self._waiting.append(Entry(request, caller))
            self._changed.notify()

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                self.iterate()
            except Exception as error:  # a bug of ours: nobody may wait for it for ever
                logger.exception("the denoise loop failed; every job in it is given up")
                self._give_up_all(error)

    def _wait_for_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._active or self._stopping)
            return bool(self._waiting or self._active)

    def iterate(self) -> None:
        """One round."""
        self._drop_abandoned()
        self._admit()
        for batch in batches(self._next_work(), self._unet_batch_size):
            self._predict([work for work in batch if work.entry in self._active])
        self._report()
        finished = self._take_finished()
        try:
            self._on_round(self)
        finally:
            for entry in finished:
                entry.send()

    def _next_work(self) -> list[Work]:
        """Beside jobs of a single tile a tiled one gets one tile a round; else equal shares."""
        jobs = [(entry, entry.job) for entry in self._active if entry.job is not None]
        if any(not entry.request.is_tiled for entry, _ in jobs):
            share = 1
        else:
            share = self._unet_batch_size // max(1, sum(job.rows for _, job in jobs))
        return [
            Work(entry, job, tile) for entry, job in jobs for tile in job.next_tiles(max(1, share))
        ]

    def _entries(self) -> list[Entry]:
        with self._changed:
            return [*self._active, *self._waiting]

    def _drop_abandoned(self) -> None:
        for entry in self._entries():
            if entry.caller.is_cancelled():
                self.counts.cancelled += 1
                self._remove(entry)
                entry.fail(InterruptedError("the request was cancelled"))
            elif entry.caller.is_past_deadline():
                self.counts.expired += 1
                self._remove(entry)
                entry.fail(DeadlineExceeded("the request's deadline passed"))

    def _admit(self) -> None:
        while True:
            with self._changed:  # from one list to the other in one step, so submit never miscounts
                active = [entry.request for entry in self._active]
                entry = next(
                    (e for e in self._candidates() if self._admission.fits(e.request, active)), None
                )
                if entry is None:
                    return
                self._waiting.remove(entry)
                self._active.append(entry)
            try:
                entry.job = self._make_job(entry.request)
            except Exception as error:
                logger.exception("a job could not be made")
                self._fail(entry, error)

    def _candidates(self) -> list[Entry]:
        """The first that waits of the tiled jobs and the first of the others."""
        firsts = [
            next((entry for entry in self._waiting if entry.request.is_tiled is tiled), None)
            for tiled in (True, False)
        ]
        return [entry for entry in firsts if entry is not None]

    def _predict(self, batch: list[Work]) -> None:
        if not batch:  # their jobs failed earlier in this round
            return
        try:
            predict(self._call_unet, [(work.job, work.tile) for work in batch])
        except Exception as error:  # of this call's jobs alone
            logger.exception("a UNet call failed")
            for entry in {work.entry for work in batch}:
                self._fail(entry, error)

    def _call_unet(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        began = time.monotonic()
        noise_pred = self._unet(inputs)
        self.counts.unet_seconds += time.monotonic() - began
        self.counts.unet_calls += 1
        self.counts.unet_rows += len(noise_pred)
        return noise_pred

    def _report(self) -> None:
        for entry in self._entries():
            entry.report()

    def _take_finished(self) -> list[Entry]:
        finished = [e for e in self._active if e.job is not None and e.job.is_finished]
        for entry in finished:
            self.counts.completed += 1
            self._remove(entry)
        return finished

    def _fail(self, entry: Entry, error: Exception) -> None:
        self.counts.failed += 1
        self._remove(entry)
        entry.fail(error)

    def _give_up_all(self, error: Exception) -> None:
        for entry in self._entries():
            self._fail(entry, error)

    def _remove(self, entry: Entry) -> None:
        with self._changed:
            if entry in self._active:
                self._active.remove(entry)
            else:
                self._waiting.remove(entry)
