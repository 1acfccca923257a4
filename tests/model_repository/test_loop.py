"""The loop with a UNet that is a function, and callers that keep their answer."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from job import Job, Request
from loop import DeadlineExceeded, DenoiseLoop, InsufficientCapacity

from tests.model_repository.test_job import job, request

UNet = Callable[[dict[str, torch.Tensor]], torch.Tensor]


@dataclass
class FakeCaller:
    """Cancelled or late when a test says so."""

    answer: Any = None
    cancelled: bool = False
    late: bool = False
    answered: threading.Event = field(default_factory=threading.Event)

    def is_cancelled(self) -> bool:
        return self.cancelled

    def is_past_deadline(self) -> bool:
        return self.late

    def send(self, job: Job) -> None:
        self.answer = job
        self.answered.set()

    def fail(self, error: Exception) -> None:
        self.answer = error
        self.answered.set()


def zeros(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.zeros_like(inputs["sample"][:, :4])


def make(asked: Request) -> Job:
    return job(**vars(asked))


def make_loop(
    unet: UNet = zeros,
    make_job: Callable[[Request], Job] = make,
    max_active: int = 8,
    max_waiting: int = 8,
    on_step: Callable[[DenoiseLoop], None] = lambda _: None,
) -> DenoiseLoop:
    return DenoiseLoop(
        unet,
        make_job,
        unet_batch_size=16,
        max_active=max_active,
        max_waiting=max_waiting,
        on_step=on_step,
    )


def submit(loop: DenoiseLoop, **changes: Any) -> FakeCaller:
    caller = FakeCaller()
    loop.submit(request(**changes), caller)
    return caller


@pytest.fixture
def running() -> Iterator[Callable[..., DenoiseLoop]]:
    loops: list[DenoiseLoop] = []

    def run(**arguments: Any) -> DenoiseLoop:
        loop = make_loop(**arguments)
        loop.start()
        loops.append(loop)
        return loop

    yield run
    for loop in loops:
        loop.stop()


def test_jobs_share_calls_and_leave_when_they_are_done() -> None:
    loop = make_loop()
    short = submit(loop, num_inference_steps=2)
    long = submit(loop, num_inference_steps=3, guidance_scale=1.0)
    loop.iterate()
    assert (loop.counts.unet_calls, loop.counts.unet_rows) == (1, 3)
    loop.iterate()
    assert short.answered.is_set()
    assert not long.answered.is_set()
    joined = submit(loop, num_inference_steps=1)
    loop.iterate()
    assert long.answered.is_set()
    assert joined.answered.is_set()
    assert loop.counts.completed == 3
    assert (loop.active, loop.waiting) == (0, 0)


def test_other_sizes_get_calls_of_their_own() -> None:
    loop = make_loop()
    submit(loop)
    submit(loop, image=np.zeros((32, 32, 3), np.uint8))
    loop.iterate()
    assert loop.counts.unet_calls == 2


def test_more_than_may_be_active_wait_in_order() -> None:
    loop = make_loop(max_active=1, max_waiting=2)
    callers = [submit(loop, num_inference_steps=1) for _ in range(3)]
    with pytest.raises(InsufficientCapacity, match="insufficient capacity: 1 requests"):
        submit(loop)
    for index in range(3):
        loop.iterate()
        assert [caller.answered.is_set() for caller in callers] == [n <= index for n in range(3)]
    assert loop.counts.refused == 1
    assert loop.counts.completed == 3


@pytest.mark.parametrize("place", ["active", "waiting"])
def test_a_cancelled_job_is_dropped_at_the_next_step(place: str) -> None:
    loop = make_loop(max_active=1)
    callers = {"active": submit(loop), "waiting": submit(loop)}
    loop.iterate()
    callers[place].cancelled = True
    loop.iterate()
    assert isinstance(callers[place].answer, InterruptedError)
    assert loop.counts.cancelled == 1
    assert loop.active == 1
    assert loop.waiting == 0


def test_a_job_past_its_deadline_is_dropped() -> None:
    loop = make_loop()
    caller = submit(loop)
    loop.iterate()
    caller.late = True
    loop.iterate()
    assert isinstance(caller.answer, DeadlineExceeded)
    assert loop.counts.expired == 1
    assert loop.active == 0


def test_an_error_of_a_call_fails_the_jobs_of_that_call_alone() -> None:
    def unet(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        if inputs["sample"].shape[-1] == 32:
            raise RuntimeError("broken")
        return zeros(inputs)

    loop = make_loop(unet)
    good = submit(loop, num_inference_steps=1)
    bad = submit(loop, image=np.zeros((32, 32, 3), np.uint8))
    loop.iterate()
    assert isinstance(good.answer, Job)
    assert str(bad.answer) == "broken"
    assert (loop.counts.completed, loop.counts.failed) == (1, 1)


def test_a_job_that_cannot_be_made_fails_alone() -> None:
    def make_job(asked: Request) -> Job:
        if asked.seed == 13:
            raise MemoryError("no room")
        return make(asked)

    loop = make_loop(make_job=make_job)
    bad, good = submit(loop, seed=13), submit(loop, num_inference_steps=1)
    loop.iterate()
    assert str(bad.answer) == "no room"
    assert isinstance(good.answer, Job)


def test_a_caller_that_cannot_be_answered_disturbs_nobody() -> None:
    class Gone(FakeCaller):
        def send(self, job: Job) -> None:
            raise BrokenPipeError

    loop = make_loop()
    loop.submit(request(num_inference_steps=1), Gone())
    good = submit(loop, num_inference_steps=1)
    loop.iterate()
    assert isinstance(good.answer, Job)
    assert loop.active == 0


def test_the_thread_works_and_stops(running: Callable[..., DenoiseLoop]) -> None:
    loop = running()
    caller = submit(loop)
    assert caller.answered.wait(10)
    assert caller.answer.is_finished


def test_stop_finishes_what_was_submitted() -> None:
    loop = make_loop()
    callers = [submit(loop) for _ in range(3)]
    loop.start()
    loop.stop()
    assert all(caller.answer.is_finished for caller in callers)


def test_a_bug_in_the_loop_fails_every_job_and_the_loop_goes_on(
    running: Callable[..., DenoiseLoop],
) -> None:
    broken = threading.Event()
    broken.set()

    def on_step(_: DenoiseLoop) -> None:
        if broken.is_set():
            raise RuntimeError("a bug")

    loop = running(on_step=on_step)
    first = submit(loop)
    assert first.answered.wait(10)
    assert str(first.answer) == "a bug"
    broken.clear()
    second = submit(loop)
    assert second.answered.wait(10)
    assert second.answer.is_finished
