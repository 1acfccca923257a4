"""The loop with a UNet that is a function, and callers that keep their answer."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stages.admission import Admission
from stages.errors import Cancelled, DeadlineExceeded, InvalidRequest, OutOfMemory
from stages.job import Job
from stages.loop import LOOK_INTERVAL_S, MAX_UNSENT, DenoiseLoop
from stages.prediction import UNet
from stages.request import Request
from tests.server import wait_until
from tests.stages.schedules_file import swapped
from tests.stages.test_job import FakeCaller, request, start


def zeros(inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [torch.zeros_like(inputs["sample"][:, :4])]


class AtOnce(Executor):
    """Does its work where it is submitted."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def make_loop(
    unet: UNet = zeros,
    start_job: Callable[[Job], None] = start,
    max_active: int = 8,
    max_waiting: int = 8,
    on_round: Callable[[DenoiseLoop], None] = lambda _: None,
    starter: Executor | None = None,
    reporter: Executor | None = None,
    look_interval_s: float = 0,
) -> DenoiseLoop:
    """It looks at callers every round; starts jobs and reports there, unless it has threads."""
    return DenoiseLoop(
        unet,
        start_job,
        unet_batch_size=16,
        admission=Admission(max_active, memory_budget_mb=512, prompt_embeds_bytes=4 * 77 * 6),
        max_waiting=max_waiting,
        on_round=on_round,
        starter=starter or AtOnce(),
        reporter=reporter or AtOnce(),
        look_interval_s=look_interval_s,
    )


def submit(loop: DenoiseLoop, **changes: Any) -> FakeCaller:
    caller = FakeCaller()
    loop.submit(request(**changes), caller)
    return caller


@pytest.fixture
def running() -> Iterator[Callable[..., DenoiseLoop]]:
    loops: list[DenoiseLoop] = []

    def run(**arguments: Any) -> DenoiseLoop:
        loop = make_loop(**arguments, starter=ThreadPoolExecutor(1), reporter=ThreadPoolExecutor(1))
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
    loop.run_round()
    assert (loop.counts.unet_calls, loop.counts.unet_rows) == (1, 3)
    loop.run_round()
    assert short.answered.is_set()
    assert not long.answered.is_set()
    joined = submit(loop, num_inference_steps=1)
    loop.run_round()
    assert long.answered.is_set()
    assert joined.answered.is_set()
    assert loop.counts.completed == 3
    assert (loop.active_count, loop.waiting_count) == (0, 0)


def test_jobs_of_other_schedulers_share_calls_and_leave_when_they_are_done() -> None:
    loop = make_loop()
    long = submit(loop, num_inference_steps=75)
    short = submit(loop, num_inference_steps=20, scheduler=swapped("DPMSolverMultistep")[0])
    more = submit(loop, num_inference_steps=20, scheduler=swapped("PNDM")[0])
    for _ in range(20):
        loop.run_round()
    assert short.answered.is_set()
    assert not more.answered.is_set(), "its schedule has a call more"
    loop.run_round()
    assert more.answered.is_set()
    while not long.answered.is_set():
        loop.run_round()
    assert (loop.counts.unet_calls, loop.counts.unet_rows) == (75, 2 * (75 + 20 + 21))
    assert more.reports[-1] == (21, 21)


def test_a_number_of_steps_that_a_scheduler_cannot_make_fails_its_job_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = make_loop()
    bad = submit(loop, num_inference_steps=1000, scheduler=swapped("PNDM")[0])
    good = submit(loop, num_inference_steps=1)
    loop.run_round()
    assert isinstance(bad.answer, InvalidRequest)
    assert isinstance(good.answer, torch.Tensor)
    assert not caplog.records, "that is the caller's error, not one of ours"


def test_other_sizes_get_calls_of_their_own() -> None:
    loop = make_loop()
    submit(loop)
    submit(loop, image=np.zeros((32, 32, 3), np.uint8))
    loop.run_round()
    assert loop.counts.unet_calls == 2


def image(side: int) -> NDArray[np.uint8]:
    return np.full((side, side, 3), 90, np.uint8)


def test_alone_a_large_image_fills_calls_with_its_tiles() -> None:
    loop = make_loop()
    caller = submit(loop, image=image(512), guidance_scale=1.0, num_inference_steps=1)
    loop.run_round()
    assert (loop.counts.unet_calls, loop.counts.unet_rows) == (1, 12), "of 144 x 144 each"
    loop.run_round()
    assert loop.counts.unet_rows == 16
    assert isinstance(caller.answer, torch.Tensor)


def test_tiles_of_two_images_and_a_small_image_of_their_size_share_calls() -> None:
    loop = make_loop()
    for side in (256, 250):
        submit(loop, image=image(side), guidance_scale=1.0)
    loop.run_round()
    assert (loop.counts.unet_calls, loop.counts.unet_rows) == (1, 8)
    submit(loop, image=image(136), guidance_scale=1.0)
    loop.run_round()
    assert (loop.counts.unet_calls, loop.counts.unet_rows) == (2, 8 + 3)


def test_a_small_image_beside_a_large_one_takes_a_step_a_round() -> None:
    loop = make_loop()
    large = submit(loop, image=image(512), guidance_scale=1.0, num_inference_steps=1)
    small = submit(loop, num_inference_steps=3, guidance_scale=1.0)
    for _ in range(3):
        assert not small.answered.is_set()
        loop.run_round()
    assert small.answered.is_set()
    assert loop.counts.unet_rows == 3 + 3  # one tile of the large one beside each of its steps
    loop.run_round()
    loop.run_round()
    assert large.answered.is_set()


def test_a_failed_call_ends_a_large_image_once_and_its_other_tiles_are_not_called() -> None:
    def unet(inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        calls.append(len(inputs["sample"]))
        raise RuntimeError("broken")

    calls: list[int] = []
    loop = make_loop(unet, max_active=16)
    callers = [submit(loop, image=image(1024), guidance_scale=1.0) for _ in range(2)]
    for _ in range(3):
        loop.run_round()
    assert [str(caller.answer) for caller in callers] == ["broken", "broken"]
    assert calls == [10], "of 160 x 160 each"
    assert loop.counts.failed == 2


@pytest.mark.parametrize("place", ["active", "waiting"])
def test_a_cancelled_job_is_dropped_before_the_next_step(place: str) -> None:
    loop = make_loop(max_active=1)
    callers = {"active": submit(loop), "waiting": submit(loop)}
    loop.run_round()
    callers[place].cancelled = True
    loop.run_round()
    assert isinstance(callers[place].answer, Cancelled)
    assert loop.counts.cancelled == 1
    assert loop.active_count == 1
    assert loop.waiting_count == 0


def test_who_goes_away_in_the_last_step_gets_no_answer() -> None:
    """Triton waits half a minute for a stream that is answered after its end."""

    def last_call(inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        caller.cancelled = True
        return zeros(inputs)

    loop = make_loop(last_call)
    caller = submit(loop, num_inference_steps=1)
    loop.run_round()
    assert isinstance(caller.answer, Cancelled)
    assert (loop.counts.cancelled, loop.counts.completed, loop.active_count) == (1, 0, 0)


def test_callers_are_looked_at_by_time_however_many_rounds_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each look is a message to another process; the answer's is one more."""
    now = 1000.0
    monkeypatch.setattr("stages.loop.time.monotonic", lambda: now)
    loop = make_loop(max_active=1, look_interval_s=LOOK_INTERVAL_S)
    active, waiting = submit(loop, num_inference_steps=1000), submit(loop)
    for _ in range(50):
        loop.run_round()
    assert (active.looks, waiting.looks) == (1, 1)
    active.cancelled = waiting.late = True
    now += LOOK_INTERVAL_S
    loop.run_round()
    assert isinstance(active.answer, Cancelled)
    assert isinstance(waiting.answer, DeadlineExceeded)
    assert 0.05 <= LOOK_INTERVAL_S <= 0.1


def test_a_job_past_its_deadline_is_dropped() -> None:
    loop = make_loop()
    caller = submit(loop)
    loop.run_round()
    caller.late = True
    loop.run_round()
    assert isinstance(caller.answer, DeadlineExceeded)
    assert loop.counts.expired == 1
    assert loop.active_count == 0


def test_an_error_of_a_call_fails_the_jobs_of_that_call_alone() -> None:
    def unet(inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        if inputs["sample"].shape[-1] == 32:
            raise RuntimeError("broken")
        return zeros(inputs)

    loop = make_loop(unet)
    good = submit(loop, num_inference_steps=1)
    bad = submit(loop, image=np.zeros((32, 32, 3), np.uint8))
    loop.run_round()
    assert isinstance(good.answer, torch.Tensor)
    assert str(bad.answer) == "broken"
    assert (loop.counts.completed, loop.counts.failed) == (1, 1)


def with_room_for(rows: int, calls: list[int]) -> UNet:
    """A UNet that notes its calls' rows and has no memory for more than so many."""

    def unet(inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        calls.append(len(inputs["sample"]))
        if calls[-1] > rows:
            raise OutOfMemory("unet: there was not enough memory for this call.")
        return zeros(inputs)

    return unet


def test_a_call_without_memory_goes_in_parts_and_so_do_those_after_it() -> None:
    calls: list[int] = []
    loop = make_loop(with_room_for(4, calls))
    callers = [submit(loop, num_inference_steps=3) for _ in range(8)]
    for _ in range(3):
        loop.run_round()
    assert all(isinstance(caller.answer, torch.Tensor) for caller in callers)
    assert calls == [16, 8, 4, 4, 8, 4, 4, *[4] * 8]
    assert (loop.counts.completed, loop.counts.failed) == (8, 0)


def test_parts_change_no_bit() -> None:
    def noisy(inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        if len(inputs["sample"]) > 4:
            raise OutOfMemory("no memory")
        return [inputs["sample"][:, :4].sin()]

    together, alone = make_loop(noisy), make_loop(noisy)
    answers = [submit(together, seed=seed, num_inference_steps=2) for seed in range(3)]
    single = submit(alone, seed=2, num_inference_steps=2)
    for loop in (together, together, alone, alone):
        loop.run_round()
    assert torch.equal(answers[2].answer, single.answer)


def test_one_that_has_no_memory_even_alone_fails_alone() -> None:
    def unet(inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        if (inputs["class_labels"] == 13).any():
            raise OutOfMemory("unet: there was not enough memory for this call.")
        return zeros(inputs)

    loop = make_loop(unet)
    bad, *others = [submit(loop, noise_level=level, num_inference_steps=2) for level in (13, 1, 2)]
    for _ in range(2):
        loop.run_round()
    assert isinstance(bad.answer, OutOfMemory)
    assert all(isinstance(other.answer, torch.Tensor) for other in others)
    assert isinstance(answer_of(loop), torch.Tensor), "what follows works"


def answer_of(loop: DenoiseLoop) -> Any:
    caller = submit(loop, num_inference_steps=1)
    loop.run_round()
    return caller.answer


def test_a_job_that_cannot_be_started_fails_alone() -> None:
    def start_job(job: Job) -> None:
        if job.request.seed == 13:
            raise MemoryError("no room")
        start(job)

    loop = make_loop(start_job=start_job)
    bad, good = submit(loop, seed=13), submit(loop, num_inference_steps=1)
    loop.run_round()
    assert str(bad.answer) == "no room"
    assert isinstance(good.answer, torch.Tensor)


def test_while_a_job_is_made_others_step(running: Callable[..., DenoiseLoop]) -> None:
    def start_job(job: Job) -> None:
        if job.request.seed == 13:
            assert let.wait(10)
        start(job)

    def unet(inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        time.sleep(0.001)
        return zeros(inputs)

    let = threading.Event()
    loop = running(unet=unet, start_job=start_job)
    submit(loop, num_inference_steps=1000)
    wait_until(lambda: loop.counts.unet_calls, 10)
    slow = submit(loop, seed=13)
    wait_until(lambda: loop.active_count == 2, 10)
    calls = loop.counts.unet_calls
    wait_until(lambda: loop.counts.unet_calls > calls + 3, 10)
    assert not slow.answered.is_set()
    let.set()
    assert slow.answered.wait(10)
    assert isinstance(slow.answer, torch.Tensor)


def test_a_caller_that_cannot_be_answered_disturbs_nobody() -> None:
    class Gone(FakeCaller):
        def send(self, _: Request, latents: torch.Tensor) -> None:
            raise BrokenPipeError

    loop = make_loop()
    gone = Gone()
    loop.submit(request(num_inference_steps=1), gone)
    good = submit(loop, num_inference_steps=1)
    loop.run_round()
    assert isinstance(gone.answer, BrokenPipeError), "it is told what can be told"
    assert isinstance(good.answer, torch.Tensor)
    assert loop.active_count == 0


def test_the_thread_works_and_stops(running: Callable[..., DenoiseLoop]) -> None:
    loop = running()
    caller = submit(loop)
    assert caller.answered.wait(10)
    assert isinstance(caller.answer, torch.Tensor)


def test_stop_finishes_what_was_submitted() -> None:
    loop = make_loop()
    callers = [submit(loop) for _ in range(3)]
    loop.start()
    loop.stop()
    assert all(isinstance(caller.answer, torch.Tensor) for caller in callers)


def test_a_bug_in_the_loop_fails_every_job_and_the_loop_goes_on(
    running: Callable[..., DenoiseLoop],
) -> None:
    broken = threading.Event()
    broken.set()

    def on_round(_: DenoiseLoop) -> None:
        if broken.is_set():
            raise RuntimeError("a bug")

    loop = running(on_round=on_round)
    first = submit(loop)
    assert first.answered.wait(10)
    assert str(first.answer) == "a bug"
    broken.clear()
    second = submit(loop)
    assert second.answered.wait(10)
    assert isinstance(second.answer, torch.Tensor)


def test_every_step_is_reported_and_every_tile_of_a_large_image() -> None:
    loop = make_loop()
    small = submit(loop, num_inference_steps=3)
    for _ in range(3):
        loop.run_round()
    assert small.reports == [(1, 3), (2, 3), (3, 3)]
    tiled = submit(loop, image=np.zeros((8, 200, 3), np.uint8), num_inference_steps=2)
    while not tiled.answered.is_set():
        loop.run_round()
    assert tiled.reports[-1] == (4, 4)


class Later(Executor):
    """Keeps its work until it is told to do it, or until somebody waits for it."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def do() -> None:
            future.set_result(work(*arguments))

        self.work.append(do)
        waiting = future.result

        def result(timeout: float | None = None) -> Any:
            while not future.done():
                self.work.pop(0)()
            return waiting(timeout)

        future.result = result  # type: ignore[method-assign]
        return future


def test_progress_is_sent_beside_the_loop_all_of_it_before_the_answer() -> None:
    reporter = Later()
    loop = make_loop(reporter=reporter)
    caller = submit(loop, num_inference_steps=3)
    for _ in range(2):
        loop.run_round()
    assert caller.reports == []
    seen: list[int] = []
    caller.send = lambda *_: seen.append(len(caller.reports))  # type: ignore[method-assign]
    loop.run_round()
    assert seen == [3]
    assert caller.reports == [(1, 3), (2, 3), (3, 3)]


def test_nor_is_any_sent_after_an_error() -> None:
    reporter = Later()
    loop = make_loop(reporter=reporter)
    caller = submit(loop)
    loop.run_round()
    caller.cancelled = True
    loop.run_round()
    assert isinstance(caller.answer, Cancelled)
    assert caller.reports == [(1, 4)]
    assert not reporter.work


def test_progress_that_is_not_taken_is_not_piled_up() -> None:
    reporter = Later()
    loop = make_loop(reporter=reporter)
    submit(loop, num_inference_steps=100)
    for _ in range(50):
        loop.run_round()
    assert len(reporter.work) == MAX_UNSENT


def test_progress_of_which_nobody_is_told_costs_nothing() -> None:
    reporter = Later()
    loop = make_loop(reporter=reporter)
    caller = FakeCaller(wants_progress=False)
    loop.submit(request(num_inference_steps=2), caller)
    for _ in range(2):
        loop.run_round()
    assert isinstance(caller.answer, torch.Tensor)
    assert not reporter.work
    assert caller.reports == []


def test_the_counts_are_complete_before_an_answer_is_sent() -> None:
    seen: list[tuple[int, int, int, bool]] = []

    def on_round(loop: DenoiseLoop) -> None:
        counts = loop.counts
        seen.append(
            (counts.completed, counts.unet_calls, counts.unet_rows, caller.answered.is_set())
        )

    loop = make_loop(on_round=on_round)
    caller = submit(loop, num_inference_steps=2, guidance_scale=9)
    loop.run_round()
    loop.run_round()
    assert seen == [(0, 1, 2, False), (1, 2, 4, False)]
    assert caller.answered.is_set()


def test_a_caller_that_cannot_be_told_keeps_its_job() -> None:
    loop = make_loop()
    caller = submit(loop, num_inference_steps=2)
    caller.reports = None  # type: ignore[assignment]
    loop.run_round()
    loop.run_round()
    assert isinstance(caller.answer, torch.Tensor)
