"""Who waits and who is active, as callers of the loop see it."""

import pytest

from stages.errors import ImageTooLarge, InsufficientCapacity
from tests.stages.test_loop import image, make_loop, submit


def test_more_than_may_be_active_wait_in_order() -> None:
    loop = make_loop(max_active=1, max_waiting=2)
    callers = [submit(loop, num_inference_steps=1) for _ in range(3)]
    with pytest.raises(InsufficientCapacity, match="insufficient capacity: 3 requests"):
        submit(loop)
    for index in range(3):
        loop.run_round()
        assert [caller.answered.is_set() for caller in callers] == [n <= index for n in range(3)]
    assert loop.counts.refused == 1
    assert loop.counts.completed == 3


def test_a_stream_of_small_images_does_not_keep_a_large_one_out() -> None:
    loop = make_loop(max_active=2)
    stream = [submit(loop, num_inference_steps=2) for _ in range(2)]
    loop.run_round()
    large = submit(loop, image=image(256), num_inference_steps=1, guidance_scale=1.0)
    rounds = 0
    while not large.answered.is_set():
        stream.append(submit(loop, num_inference_steps=1))
        loop.run_round()
        rounds += 1
        assert rounds < 20
    assert rounds <= 2 + 4  # the places were taken for two, then a tile each


def test_large_images_leave_places_to_small_ones() -> None:
    loop = make_loop(max_active=4)
    large = [submit(loop, image=image(256), num_inference_steps=9) for _ in range(4)]
    loop.run_round()
    assert (loop.active_count, loop.waiting_count) == (2, 2)
    small = submit(loop, num_inference_steps=1)
    loop.run_round()
    assert small.answered.is_set()
    assert not any(caller.answered.is_set() for caller in large)


def test_an_image_that_never_fits_is_refused_at_once() -> None:
    loop = make_loop()
    with pytest.raises(ImageTooLarge, match="MEMORY_BUDGET_MB=512"):
        submit(loop, image=image(3000))
    assert loop.waiting_count == 0


def test_who_waits_is_told_that_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(max_active=1)
    submit(loop, num_inference_steps=3)
    waiting = submit(loop, num_inference_steps=4)
    loop.run_round()
    assert waiting.reports == []
    monkeypatch.setattr("stages.job.SIGN_OF_LIFE_S", 0)
    loop.run_round()
    assert set(waiting.reports) == {(0, 4)}
