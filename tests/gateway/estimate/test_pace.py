"""Forecasts, against a machine whose law is known and whose clock is ours."""

from contextlib import ExitStack

import pytest

from gateway.estimate.pace import Job, Pace
from gateway.estimate.work import Work

SMALL = Work(32, 32, steps=10, guidance_scale=1.0)
LARGE = Work(256, 256, steps=4, guidance_scale=9.0, max_tile=128)  # 9 tiles, 2 rows each
ROW_S = {SMALL.tile_pixels: 0.125, LARGE.tile_pixels: 1.0}  # no power of 4 apart
REST_S = 3.0


class Machine:
    """Takes the time that it should and tells a Pace."""

    def __init__(self, max_in_progress: int = 8, tritons: int = 1) -> None:
        self.now = 100.0
        self.pace = Pace(max_in_progress, lambda: tritons, lambda: self.now)
        self.stack = ExitStack()

    def arrives(self, work: Work) -> Job:
        return self.stack.enter_context(self.pace.waiting(work))

    def begins(self, work: Work) -> Job:
        job = self.arrives(work)
        self.pace.begun(job)
        return job

    def makes(self, work: Work) -> float:
        """One alone, from the beginning to the end; its seconds."""
        with self.pace.waiting(work) as job:
            self.pace.begun(job)
            denoise_s = work.unet_rows * ROW_S[work.tile_pixels]
            self.now += denoise_s
            self.pace.denoised(job)
            self.now += REST_S
            self.pace.finished(job)
        return denoise_s + REST_S

    def seconds(self, work: Work) -> float:
        seconds = self.pace.seconds(work)
        assert seconds is not None
        return seconds


def taught(max_in_progress: int = 8, tritons: int = 1) -> Machine:
    machine = Machine(max_in_progress, tritons)
    for work in (SMALL, LARGE):
        machine.makes(work)
    return machine


def test_nothing_is_known_before_the_first_picture() -> None:
    machine = Machine()
    assert machine.pace.seconds(SMALL) is None
    machine.begins(SMALL)
    assert machine.pace.seconds(SMALL) is None


@pytest.mark.parametrize("work", [SMALL, LARGE])
def test_alone_it_takes_what_it_took(work: Work) -> None:
    machine = taught()
    assert machine.seconds(work) == pytest.approx(machine.makes(work))


def test_steps_and_guidance_count() -> None:
    machine = taught()
    twice = Work(32, 32, steps=20, guidance_scale=1.0)
    guided = Work(32, 32, steps=10, guidance_scale=2.0)
    for work in (twice, guided):
        assert machine.seconds(work) == pytest.approx(20 * 0.125 + REST_S)


def test_beside_another_a_round_takes_both() -> None:
    machine = taught()
    machine.begins(LARGE)
    # Ten rounds of 0.125 + 2.0, then the rest at half of the speed, as LARGE has 26 rounds left.
    assert machine.seconds(SMALL) == pytest.approx(10 * 2.125 + 2 * REST_S)


def test_what_is_done_of_another_counts_no_more() -> None:
    machine = taught()
    machine.begins(LARGE)
    machine.now += 33 * 2.0  # of its 36 rounds
    # Three rounds beside it; seven alone at half of the speed, beside the rest of the other, which
    # is a second and a quarter longer; that, and a rest of its own.
    assert machine.seconds(SMALL) == pytest.approx(3 * 2.125 + 7 * 0.25 + (3 - 0.875) + REST_S)


def test_what_comes_after_denoise_is_one_after_the_other() -> None:
    machine = taught()
    first, second = machine.begins(SMALL), machine.begins(SMALL)
    machine.now += 2 * 10 * 0.125
    machine.pace.denoised(first)
    machine.pace.denoised(second)
    machine.now += REST_S / 2
    # Ten rounds at half of the speed, meanwhile 1.25 of 4.5 seconds; the others', then its own.
    expected = 10 * 0.25 + (1.5 * REST_S - 1.25) + REST_S
    assert machine.seconds(SMALL) == pytest.approx(expected)


def test_who_waits_comes_first() -> None:
    machine = taught(max_in_progress=1)
    machine.begins(SMALL)
    machine.arrives(SMALL)
    alone = 10 * 0.125 + REST_S
    assert machine.seconds(SMALL) == pytest.approx(3 * alone)


def test_two_tritons_share_the_work() -> None:
    one, two = taught(), taught(tritons=2)
    for machine in (one, two):
        machine.begins(SMALL)
        machine.begins(SMALL)
    assert two.seconds(SMALL) < one.seconds(SMALL)


def test_it_learns_beside_others_what_it_takes_alone() -> None:
    """Four at once in lockstep: each takes four times as long, and a row as long as ever."""
    machine = taught()
    alone = machine.seconds(SMALL)
    jobs = [machine.begins(SMALL) for _ in range(4)]
    machine.now += 4 * 10 * 0.125
    for job in jobs:
        machine.pace.denoised(job)
    for job in jobs:
        machine.now += REST_S
        machine.pace.finished(job)
    machine.stack.close()
    assert machine.seconds(SMALL) == pytest.approx(alone)


def test_those_that_come_at_once_before_anything_is_known_are_all_learnt_from() -> None:
    machine = Machine()
    jobs = [machine.begins(work) for work in (SMALL, SMALL, LARGE)]
    round_s = 2 * 0.125 + 2.0
    machine.now += 10 * round_s
    for job in jobs[:2]:
        machine.pace.denoised(job)
    for job in jobs[:2]:  # the others' rounds go on, at half of the speed
        machine.now += 2 * REST_S
        machine.pace.finished(job)
    machine.now += (26 * 2.0) - 2 * REST_S
    machine.pace.denoised(jobs[2])
    machine.now += REST_S
    machine.pace.finished(jobs[2])
    machine.stack.close()
    # What nothing told apart yet is shared out by pixels: close, and right after the next ones.
    for work in (SMALL, LARGE):
        assert machine.seconds(work) == pytest.approx(
            work.unet_rows * ROW_S[work.tile_pixels] + REST_S, rel=0.5
        )


def test_those_who_come_later_are_learnt_as_well() -> None:
    machine = taught()
    with ExitStack() as beside_one:
        beside_one.enter_context(machine.pace.waiting(SMALL))
        expected = machine.seconds(SMALL)
    jobs = [machine.begins(SMALL) for _ in range(4)]  # each was forecast without the next
    machine.now += 4 * 10 * 0.125
    for job in jobs:
        machine.pace.denoised(job)
    for job in jobs:
        machine.now += REST_S
        machine.pace.finished(job)
    machine.stack.close()
    alone = machine.seconds(SMALL)
    machine.arrives(SMALL)
    assert alone == pytest.approx(10 * 0.125 + REST_S)
    assert machine.seconds(SMALL) > expected


def test_who_goes_away_is_forgotten() -> None:
    machine = taught()
    alone = machine.seconds(SMALL)
    machine.begins(LARGE)
    machine.arrives(LARGE)
    assert machine.seconds(SMALL) > alone
    machine.stack.close()
    assert machine.seconds(SMALL) == pytest.approx(alone)


def test_a_bound_is_what_it_took_twice_alone_and_behind_others() -> None:
    machine = taught(max_in_progress=1)
    assert machine.pace.least_seconds(SMALL) == (0, 0), "once may have been cold"
    machine.makes(SMALL)
    alone = 10 * 0.125 + REST_S
    assert machine.pace.least_seconds(SMALL) == pytest.approx((alone, alone))
    machine.begins(SMALL)
    machine.arrives(SMALL)
    assert machine.pace.least_seconds(SMALL) == pytest.approx((alone, 3 * alone))
    machine.arrives(LARGE)  # of which only what a smaller one takes is certain
    alone_s, behind_s = machine.pace.least_seconds(SMALL)
    assert alone_s == pytest.approx(alone)
    assert 4 * alone < behind_s < machine.seconds(SMALL)


def test_what_was_given_up_would_take_longer() -> None:
    machine = Machine()
    with ExitStack() as given_up:
        machine.pace.begun(given_up.enter_context(machine.pace.waiting(SMALL)))
        machine.now += 280
    assert machine.pace.least_seconds(SMALL)[0] == pytest.approx(280 * 1.1)
    half = Work(32, 32, steps=5, guidance_scale=1.0)
    assert machine.pace.least_seconds(half)[0] == pytest.approx(140 * 1.1)
    assert machine.pace.seconds(SMALL) is None, "it is a bound and no estimate"


def test_who_goes_away_early_bounds_no_more_than_that() -> None:
    machine = taught()
    machine.makes(SMALL)
    before = machine.pace.least_seconds(SMALL)
    with ExitStack() as gone:
        machine.pace.begun(gone.enter_context(machine.pace.waiting(SMALL)))
        machine.now += 0.5
    assert machine.pace.least_seconds(SMALL) == pytest.approx(before)
