"""The loop that steps every job: admit, one UNet call a batch, step, answer or keep."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass

import torch

from stages.admission import Admission
from stages.batching import ROW_PIXELS, batches, pixels_of
from stages.errors import (
    Cancelled,
    DeadlineExceeded,
    InsufficientCapacity,
    InvalidRequest,
    OutOfMemory,
)
from stages.job import Job, Report
from stages.job_queue import JobQueue
from stages.prediction import UNet, predict
from stages.request import Caller, Request
from stages.step_cache import FEATURE
from stages.tiles import Tile

# Between two looks at who went away, each a message to Triton's process and back for every job, and
# at jobs that are being started where no other job steps.
LOOK_INTERVAL_S = 0.075
MAX_UNSENT = 4  # rounds whose progress is on its way; the next one waits
logger = logging.getLogger("denoise")


@dataclass
class Counts:
    """What became of jobs, and how the UNet was called, since the start."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0  # their callers went away
    expired: int = 0  # their deadlines passed
    refused: int = 0  # too many waited already
    unet_calls: int = 0
    unet_rows: int = 0
    unet_shallow_rows: int = 0  # of them, those of the outermost blocks alone; see step_cache.py
    unet_seconds: float = 0.0  # on a GPU, until the calls were launched


class DenoiseLoop:
    """Continuous batching over one UNet, on a thread of its own.

    It goes in rounds. A round takes every active job further: one of a single tile by a step, a
    tiled one by a share of its tiles, so that neither waits for the other for long.
    """

    def __init__(
        self,
        unet: UNet,
        start_job: Callable[[Job], None],
        unet_batch_size: int,
        admission: Admission,
        max_waiting: int,
        on_round: Callable[["DenoiseLoop"], None],
        starter: Executor,
        reporter: Executor,
        look_interval_s: float = LOOK_INTERVAL_S,
    ) -> None:
        """unet: one call; see prediction.py. unet_batch_size: rows in one call; see batching.py.

        start_job: makes the latents of a job when it is admitted, so that a waiting one holds only
        its request. admission, max_waiting: see JobQueue. on_round: called on the loop's thread
        after every round, before those whose jobs it finished are answered. starter: runs
        start_job, which for a large image takes as long as many steps. reporter: one thread that
        sends progress, in order. `stop` ends both.
        """
        self._unet = unet
        self._start_job = start_job
        self._unet_batch_size = unet_batch_size
        self._on_round = on_round
        self._queue = JobQueue(admission, max_waiting)
        self._starter, self._reporter = starter, reporter
        self._look_interval_s = look_interval_s
        self._looked_at = float("-inf")
        self._unsent: deque[Future[None]] = deque()  # progress of a round each
        self._starting: dict[Job, Future[None]] = {}  # active already, without latents still
        self.counts = Counts()
        self._thread = threading.Thread(target=self._run, name="denoise-loop")

    @property
    def active_count(self) -> int:
        return self._queue.active_count

    @property
    def waiting_count(self) -> int:
        return self._queue.waiting_count

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish what was submitted, then end the thread."""
        self._queue.close()
        self._thread.join()
        self._starter.shutdown()
        self._reporter.shutdown()

    def submit(self, request: Request, caller: Caller) -> None:
        """Hand a request over. Raises InsufficientCapacity or ImageTooLarge: see JobQueue."""
        try:
            self._queue.submit(Job(request, caller))
        except InsufficientCapacity:
            self.counts.refused += 1
            raise

    def _run(self) -> None:
        while self._queue.wait_for_jobs():
            try:
                self.run_round()
            except Exception as error:  # a bug of ours: else every caller would wait without end
                logger.exception("the denoise loop failed; every job in it is given up")
                for job in self._queue.all_jobs():
                    self._fail_job(job, error)

    def run_round(self) -> None:
        """Take every active job further."""
        self._drop_abandoned()
        self._admit_waiting()
        self._see_started()
        for batch in batches(self._next_tiles(), self._unet_batch_size):
            active = self._queue.active  # jobs of an earlier batch may have failed
            self._predict_tiles([(job, tile) for job, tile in batch if job in active])
        self._report()
        finished = self._take_finished()
        try:
            self._on_round(self)
        finally:
            if finished:
                self._wait_for_reports()
            for job in finished:
                job.send()

    def _drop_abandoned(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < self._look_interval_s:
            return
        self._looked_at = now
        for job in self._queue.all_jobs():
            if job.caller.is_cancelled():
                self._cancel(job)
            elif job.caller.is_past_deadline():
                self.counts.expired += 1
                self._drop(job, DeadlineExceeded("The deadline of the request has passed."))

    def _admit_waiting(self) -> None:
        while (job := self._queue.admit_next()) is not None:
            self._starting[job] = self._starter.submit(self._start_job, job)

    def _see_started(self) -> None:
        """Fail the jobs that could not be started; with no other job to step, wait for one."""
        if self._starting and not any(job.is_started for job in self._queue.active):
            wait(self._starting.values(), LOOK_INTERVAL_S, FIRST_COMPLETED)
        for job, start in list(self._starting.items()):
            if not start.done():
                continue
            del self._starting[job]
            if (error := start.exception()) is not None:
                if not isinstance(error, InvalidRequest):
                    logger.error("a job could not be started", exc_info=error)
                self._fail_job(job, error if isinstance(error, Exception) else RuntimeError(error))

    def _next_tiles(self) -> list[tuple[Job, Tile]]:
        """Beside jobs of a single tile a tiled one gets one tile a round; else equal shares."""
        jobs = [job for job in self._queue.active if job.is_started]
        if any(not job.request.is_tiled for job in jobs):
            share = 1
        else:
            pixels = sum(pixels_of(job) for job in jobs)
            share = max(1, self._unet_batch_size * ROW_PIXELS // max(1, pixels))
        return [(job, tile) for job in jobs for tile in job.next_tiles(share)]

    def _predict_tiles(self, pairs: list[tuple[Job, Tile]]) -> None:
        if not pairs:  # their jobs failed earlier in this round
            return
        try:
            predict(self._call_unet, pairs)
        except OutOfMemory as error:
            if len(pairs) == 1:
                self._fail_job(pairs[0][0], error)
            else:
                self._predict_in_parts(pairs)
        except Exception as error:  # of this call's jobs alone
            logger.exception("a UNet call failed")
            for job in dict.fromkeys(job for job, _ in pairs):
                self._fail_job(job, error)

    def _predict_in_parts(self, pairs: list[tuple[Job, Tile]]) -> None:
        """After a call that had no memory: no later one is as large either."""
        pixels = sum(pixels_of(job) for job, _ in pairs)
        self._unet_batch_size = min(self._unet_batch_size, max(1, pixels // ROW_PIXELS // 2))
        logger.warning(
            "there was no memory for a call of %s tiles: from now on, at most %s rows go in one",
            len(pairs),
            self._unet_batch_size,
        )
        for batch in batches(pairs, self._unet_batch_size):
            active = self._queue.active
            self._predict_tiles([(job, tile) for job, tile in batch if job in active])

    def _call_unet(self, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        began = time.monotonic()
        outputs = self._unet(inputs)
        rows = len(outputs[0])
        self.counts.unet_seconds += time.monotonic() - began
        self.counts.unet_calls += 1
        self.counts.unet_rows += rows
        self.counts.unet_shallow_rows += rows if FEATURE in inputs else 0
        return outputs

    def _report(self) -> None:
        """Have those who watch told how far their jobs are, beside the next rounds."""
        watched = [job for job in self._queue.all_jobs() if job.caller.wants_progress]
        if reports := [report for job in watched if (report := job.next_report()) is not None]:
            self._unsent.append(self._reporter.submit(send_all, reports))
        while self._unsent and (self._unsent[0].done() or len(self._unsent) > MAX_UNSENT):
            self._unsent.popleft().result()

    def _wait_for_reports(self) -> None:
        """Before an answer, which is the last that a caller gets."""
        while self._unsent:
            self._unsent.popleft().result()

    def _take_finished(self) -> list[Job]:
        """Those to answer; one to who went away in this round would keep Triton from ending."""
        finished = []
        for job in [job for job in self._queue.active if job.is_finished]:
            if job.caller.is_cancelled():
                self._cancel(job)
            else:
                self.counts.completed += 1
                self._forget(job)
                finished.append(job)
        return finished

    def _cancel(self, job: Job) -> None:
        self.counts.cancelled += 1
        self._drop(job, Cancelled("The request was cancelled."))

    def _fail_job(self, job: Job, error: Exception) -> None:
        self.counts.failed += 1
        self._drop(job, error)

    def _drop(self, job: Job, error: Exception) -> None:
        self._forget(job)
        self._wait_for_reports()
        job.fail(error)

    def _forget(self, job: Job) -> None:
        self._queue.remove(job)
        if (start := self._starting.pop(job, None)) is not None:
            start.cancel()


def send_all(reports: Sequence[Report]) -> None:
    """On the reporter's thread."""
    for report in reports:
        report.send()
