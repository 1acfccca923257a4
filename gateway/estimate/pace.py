"""How long a picture will take here and now, from how long others took and who is before it.

denoise takes a tile of every request a round, so a round takes as long as all of them together
(`stages/loop.py`). What comes after it, above all the decoder, takes one picture after the other.
Where both have work, each has half of the machine. Who waits comes in the order of arrival. Who
comes later takes a share as well: how much that is, is learnt from forecasts that came too short.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.estimate.costs import WEIGHT, Costs
from gateway.estimate.work import Work

GIVEN_UP = 1.1  # times what was waited, of something that was not there by then


@dataclass(eq=False)
class Job:
    """A request on its way. began: the sum of rounds, or of decoding, at that time.

    expected_s: what was forecast beside others, without who comes later; None: nothing was.
    """

    work: Work
    arrived: float
    expected_s: float | None
    began: float = 0.0


@dataclass(eq=False)
class _Rest:
    """What is left of a job: rounds of denoise, then seconds of what comes after it."""

    rounds: float
    round_s: float
    decode_s: float


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
        self._decode = Costs()  # what comes after denoise, by the picture's pixels
        self._waiting: list[Job] = []
        self._denoising: list[Job] = []
        self._decoding: list[Job] = []  # the first is at work
        # So far: rounds of denoise, and seconds of decoding as they were alone.
        self._rounds = self._decoded_s = 0.0
        self._later = 1.0  # how many times longer it takes for those who come later
        self._summed_until = clock()

    @contextmanager
    def waiting(self, work: Work) -> Iterator[Job]:
        """A request from its arrival on; the other methods say how it goes on."""
        job = Job(work, self._clock(), None if self._is_idle else self._expected_s(work))
        self._waiting.append(job)
        try:
            yield job
        finally:
            if job in self._denoising:
                self._learn_given_up(job)
            self._leave(job)

    def begun(self, job: Job) -> None:
        """Its turn has come."""
        self._leave(job)
        self._denoising.append(job)
        job.began = self._rounds

    def denoised(self, job: Job) -> None:
        """Its latents are there: learn what a row takes."""
        if job not in self._denoising:  # another Triton had taken it over, and was lost as well
            return
        self._leave(job)
        rounds = self._rounds - job.began
        if rounds > 0:
            self._learn_row(job.work.tile_pixels, rounds / job.work.rounds)
        self._decoding.append(job)
        job.began = self._decoded_s

    def finished(self, job: Job) -> None:
        """Its picture is there: learn what came after denoise."""
        if job not in self._decoding:
            return
        self._leave(job)
        if job.began < self._decoded_s:
            decode_s = self._decoded_s - job.began
            self._decode.learn(job.work.latent_pixels, decode_s, self._summed_until)
        if job.expected_s:
            longer = (self._summed_until - job.arrived) / job.expected_s
            self._later *= (longer / self._later) ** WEIGHT

    def seconds(self, work: Work) -> float | None:
        """From now until the picture, were it sent now; None before the first picture."""
        expected_s = self._expected_s(work)
        return expected_s if self._is_idle or expected_s is None else self._later * expected_s

    def least_seconds(self, work: Work) -> tuple[float, float]:
        """What it takes at least: alone, and behind those who are here; 0 where that is unknown."""
        self._sum_up()
        rest = self._least_of(work)
        if not rest.round_s:
            return 0.0, 0.0
        alone_s = rest.rounds * rest.round_s + rest.decode_s
        here = (*self._waiting, *self._denoising, *self._decoding)
        is_known = all(self._least_of(job.work).round_s for job in here)
        return alone_s, self._simulated_s(work, self._least_of) if is_known else alone_s

    def decode_seconds(self, work: Work) -> float | None:
        """What comes after denoise, where nothing else is at work; None before the first."""
        return self._decode.of(work.latent_pixels) if self._decode.are_known else None

    def _expected_s(self, work: Work) -> float | None:
        if not self._decode.are_known:
            return None
        self._sum_up()
        return self._simulated_s(work, self._rest_of)

    def _simulated_s(self, work: Work, rest_of: Callable[[Work], _Rest]) -> float:
        newcomer = rest_of(work)
        denoising = [rest_of(job.work) for job in self._denoising]
        for rest, job in zip(denoising, self._denoising, strict=True):
            rest.rounds = max(0.0, rest.rounds - (self._rounds - job.began))
        decoding = [rest_of(job.work) for job in self._decoding]
        for rest, job in zip(decoding[:1], self._decoding, strict=False):
            rest.decode_s = max(0.0, rest.decode_s - (self._decoded_s - job.began))
        queue = [*(rest_of(job.work) for job in self._waiting), newcomer]
        seconds = 0.0
        while newcomer in (*queue, *denoising, *decoding):
            while queue and len(denoising) + len(decoding) < self._max_in_progress:
                denoising.append(queue.pop(0))
            seconds += self._advance(denoising, decoding)
        return seconds

    @property
    def _is_idle(self) -> bool:
        return not (self._waiting or self._denoising or self._decoding)

    def _learn_row(self, pixels: int, factor: float) -> None:
        """It took so many times what it was taken for, which at first was nothing but a unit."""
        is_first = not self._row.are_known
        self._row.learn(pixels, self._row.of(pixels) * factor, self._summed_until)
        if is_first:
            for job in self._denoising:
                job.began = self._rounds - (self._rounds - job.began) / factor

    def _learn_given_up(self, job: Job) -> None:
        """Who went away or whose time was over waited for so much of the machine in vain."""
        self._sum_up()
        pixels = job.work.tile_pixels
        row_s = self._row.of(pixels) * (self._rounds - job.began) / job.work.rounds
        self._row.learn_at_least(pixels, GIVEN_UP * row_s, self._summed_until)

    def _least_of(self, work: Work) -> _Rest:
        now = self._summed_until
        round_s = work.rows_per_round * self._row.at_least(work.tile_pixels, now)
        return _Rest(work.rounds, round_s, self._decode.at_least(work.latent_pixels, now))

    def _advance(self, denoising: list[_Rest], decoding: list[_Rest]) -> float:
        """Go on until the next of them leaves denoise or is done; the seconds that it takes."""
        speed = self._speed(denoising, decoding)
        round_s = sum(rest.round_s for rest in denoising) / speed
        left = [rest.rounds * round_s for rest in denoising]
        left += [rest.decode_s / speed for rest in decoding[:1]]
        seconds = min(left)
        for rest in decoding[:1]:
            rest.decode_s -= seconds * speed
            if seconds == left[-1]:
                decoding.remove(rest)
        for rest, own in zip(list(denoising), left, strict=False):
            rest.rounds -= seconds / round_s
            if seconds == own:
                denoising.remove(rest)
                decoding.append(rest)
        return seconds

    def _rest_of(self, work: Work) -> _Rest:
        decode_s = self._decode.of(work.latent_pixels)
        return _Rest(work.rounds, self._round_s(work), decode_s)

    def _round_s(self, work: Work) -> float:
        return work.rows_per_round * self._row.of(work.tile_pixels)

    def _speed(self, denoising: Sequence[object], decoding: Sequence[object]) -> float:
        """Of either, of what a machine does that has nothing else; a request is on one machine."""
        machines = max(1, min(self._tritons(), len(denoising) + len(decoding)))
        return machines * (0.5 if denoising and decoding else 1.0)

    def _leave(self, job: Job) -> None:
        self._sum_up()
        for jobs in (self._waiting, self._denoising, self._decoding):
            if job in jobs:
                is_first = job is jobs[0]
                jobs.remove(job)
                if jobs is self._decoding and is_first and jobs:
                    jobs[0].began = self._decoded_s

    def _sum_up(self) -> None:
        now = self._clock()
        seconds, self._summed_until = now - self._summed_until, now
        speed = self._speed(self._denoising, self._decoding)
        if self._denoising:
            round_s = sum(self._round_s(job.work) for job in self._denoising)
            self._rounds += seconds * speed / round_s
        if self._decoding:
            self._decoded_s += seconds * speed
