"""Which jobs wait and which are active."""

import threading
from collections import deque

from stages.admission import Admission
from stages.errors import InsufficientCapacity
from stages.job import Job


class JobQueue:
    """Jobs from the moment they are submitted to the moment they are removed.

    Any thread may submit; only the loop's thread admits and removes. So what that thread reads
    without the lock does not change under its hands, but for jobs that join those that wait.
    """

    def __init__(self, admission: Admission, max_waiting: int) -> None:
        """admission: which jobs are active. max_waiting: jobs behind them."""
        self._admission = admission
        self._max_waiting = max_waiting
        self._waiting: deque[Job] = deque()
        self._active: list[Job] = []
        self._changed = threading.Condition()
        self._is_closed = False

    @property
    def active(self) -> list[Job]:
        """A copy, in the order of admission."""
        return list(self._active)

    @property
    def active_count(self) -> int:
        return len(self._active)

    @property
    def waiting_count(self) -> int:
        return len(self._waiting)

    def submit(self, job: Job) -> None:
        """Let a job wait.

        Raises InsufficientCapacity when as many wait as may, ImageTooLarge when it would not fit
        into the memory budget even alone.
        """
        self._admission.check_request(job.request)
        with self._changed:
            count = len(self._active) + len(self._waiting)
            if count >= self._admission.max_active + self._max_waiting:
                raise InsufficientCapacity(
                    f"insufficient capacity: {count} requests are being worked on or wait already;"
                    " try again later."
                )
            self._waiting.append(job)
            self._changed.notify()

    def close(self) -> None:
        """Let `wait_for_jobs` return False once no job is left."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def wait_for_jobs(self) -> bool:
        """Block until there are jobs; False where none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._active or self._is_closed)
            return bool(self._waiting or self._active)

    def all_jobs(self) -> list[Job]:
        """The active ones, then those that wait."""
        with self._changed:
            return [*self._active, *self._waiting]

    def admit_next(self) -> Job | None:
        """Make a job active that fits beside those that are, or None where none does.

        It leaves one list and joins the other at once, so that `submit` never miscounts.
        """
        with self._changed:
            active = [job.request for job in self._active]
            for job in self._candidates():
                if self._admission.fits(job.request, active):
                    self._waiting.remove(job)
                    self._active.append(job)
                    return job
            return None

    def _candidates(self) -> list[Job]:
        """The first that waits of the tiled jobs and the first of the others."""
        firsts = [
            next((job for job in self._waiting if job.request.is_tiled is is_tiled), None)
            for is_tiled in (True, False)
        ]
        return [job for job in firsts if job is not None]

    def remove(self, job: Job) -> None:
        """Forget a job, active or waiting."""
        with self._changed:
            if job in self._active:
                self._active.remove(job)
            else:
                self._waiting.remove(job)
