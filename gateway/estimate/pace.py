"""How long a picture will take here and now, from how long others took and who is before it.

denoise takes a tile of every request a round, so a round takes as long as all of them together
(`stages/loop.py`); what comes after it shares the machine as well. Who waits comes in the order of
arrival.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.estimate.costs import Costs
from gateway.estimate.work import Work


@dataclass(eq=False)
class Job:
    """A request on its way. The sums are `Pace`'s at the time that it began."""

    work: Work
    began: float = 0.0
    load: float = 0.0
    jobs: float = 0.0
    rounds: float = 0.0


@dataclass(eq=False)
class _Forecast:
    """What is left of a job: rounds of denoise, then seconds if it were alone."""

    rounds: float
    round_s: float
    rest_s: float

    @property
    def is_over(self) -> bool:
        return self.rounds <= 0 and self.rest_s <= 0


class Pace:
    """The requests of one gateway, and what theirs took. Seconds are of `clock`.

    max_in_progress: requests that are worked on at a time; the others wait.
    tritons: how many share the work now.
    """

    def __init__(
        self,
        max_in_progress: int,
        tritons: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_in_progress = max_in_progress
        self._tritons = tritons
        self._clock = clock
        self._row = Costs()  # a row of a UNet batch, by the tile's pixels
        self._rest = Costs()  # a picture's way outside of denoise, by its pixels
        self._active: list[Job] = []
        self._waiting: list[Job] = []
        # Over the time so far: a round's seconds, the jobs at work, and the rounds that were done.
        self._load = self._jobs = self._rounds = 0.0
        self._summed_until = clock()

    @contextmanager
    def waiting(self, work: Work) -> Iterator[Job]:
        """A request from its arrival on; `begun` and `finished` say how it goes on."""
        job = Job(work)
        self._waiting.append(job)
        try:
            yield job
        finally:
            self._sum_up()
            for jobs in (self._active, self._waiting):
                if job in jobs:
                    jobs.remove(job)

    def begun(self, job: Job) -> None:
        """Its turn has come."""
        self._sum_up()
        self._waiting.remove(job)
        self._active.append(job)
        job.began = self._summed_until
        job.load, job.jobs, job.rounds = self._load, self._jobs, self._rounds

    def finished(self, job: Job, denoise_s: float) -> None:
        """Learn from its picture. denoise_s: of its time."""
        self._sum_up()
        whole_s = self._summed_until - job.began
        if whole_s <= 0 or denoise_s <= 0:
            return
        work = job.work
        expected_s = work.rounds * (self._load - job.load) / whole_s
        row_s = self._row.of(work.tile_pixels)
        self._row.learn(work.tile_pixels, row_s * denoise_s / expected_s)
        shared_by = max(1.0, (self._jobs - job.jobs) / whole_s)
        self._rest.learn(work.latent_pixels, (whole_s - denoise_s) / shared_by)

    def seconds(self, work: Work) -> float | None:
        """From now until the picture, were it sent now; None before the first picture."""
        if not self._row.are_known:
            return None
        self._sum_up()
        newcomer = self._forecast(work, 0.0)
        at_work = [self._forecast(job.work, self._rounds - job.rounds) for job in self._active]
        queue = [*(self._forecast(job.work, 0.0) for job in self._waiting), newcomer]
        seconds = 0.0
        while not newcomer.is_over:
            while queue and len(at_work) < self._max_in_progress:
                at_work.append(queue.pop(0))
            seconds += self._advance(at_work)
            at_work = [forecast for forecast in at_work if not forecast.is_over]
        return seconds

    def _forecast(self, work: Work, rounds_done: float) -> _Forecast:
        rounds, rest_s = work.rounds - rounds_done, self._rest.of(work.latent_pixels)
        # Of one whose rounds are over nobody knows how far it is: half, in the mean.
        return _Forecast(
            max(rounds, 0.0), self._round_s(work), rest_s if rounds > 0 else rest_s / 2
        )

    def _advance(self, at_work: list[_Forecast]) -> float:
        """Go on until one of them is over or leaves denoise; the seconds that it takes."""
        tritons = max(1, self._tritons())
        round_s = sum(forecast.round_s for forecast in at_work) / tritons
        shared_by = max(1.0, len(at_work) / tritons)
        left = [f.rounds * round_s if f.rounds > 0 else f.rest_s * shared_by for f in at_work]
        seconds = min(left)
        for forecast, own in zip(at_work, left, strict=True):
            share = 0.0 if own <= seconds else 1 - seconds / own
            if forecast.rounds > 0:
                forecast.rounds *= share
            else:
                forecast.rest_s *= share
        return seconds

    def _round_s(self, work: Work) -> float:
        return work.rows_per_tile * self._row.of(work.tile_pixels)

    def _sum_up(self) -> None:
        now = self._clock()
        seconds, self._summed_until = now - self._summed_until, now
        if self._active:
            tritons = max(1, self._tritons())
            round_s = sum(self._round_s(job.work) for job in self._active) / tritons
            self._load += seconds * round_s
            self._jobs += seconds * len(self._active) / tritons
            self._rounds += seconds / round_s
