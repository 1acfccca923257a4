"""Forecasts, against a machine whose law is known and whose clock is ours."""

from contextlib import ExitStack

import pytest

from gateway.estimate.pace import Job, Pace
from gateway.estimate.work import Work

SMALL = Work(32, 32, steps=10, guidance_scale=1.0)
LARGE = Work(256, 256, steps=4, guidance_scale=9.0)  # 9 tiles, 2 rows each
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
            self.now += denoise_s + REST_S
            self.pace.finished(job, denoise_s)
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
    # Ten rounds of 0.125 + 2.0, then the rest at half of the speed.
    assert machine.seconds(SMALL) == pytest.approx(10 * 2.125 + 2 * REST_S)


def test_what_is_done_of_another_counts_no_more() -> None:
    machine = taught()
    machine.begins(LARGE)
    machine.now += 33 * 2.0  # of its 36 rounds
    # Three rounds beside it, seven and a rest beside its rest, which they outlast.
    seconds = machine.seconds(SMALL)
    alone = 10 * 0.125 + REST_S
    assert alone < seconds < 10 * 2.125 + 2 * REST_S


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
    denoise_s = 4 * 10 * 0.125
    machine.now += denoise_s + 4 * REST_S
    for job in jobs:
        machine.pace.finished(job, denoise_s)
    machine.stack.close()
    assert machine.seconds(SMALL) == pytest.approx(alone)


def test_who_goes_away_is_forgotten() -> None:
    machine = taught()
    alone = machine.seconds(SMALL)
    machine.begins(LARGE)
    machine.arrives(LARGE)
    assert machine.seconds(SMALL) > alone
    machine.stack.close()
    assert machine.seconds(SMALL) == pytest.approx(alone)
