"""The law of the work against what the stages make of a request."""

from dataclasses import replace

import pytest

from gateway.estimate.work import Work
from stages.request import Request
from stages.schedulers import Scheduler
from stages.step_cache import StepCache

SIDES = [1, 7, 8, 64, 120, 128, 129, 136, 240, 241, 256, 512, 1000, 1024, 4096]


def request(work: Work) -> Request:
    return work.request((77, 1024))


@pytest.mark.parametrize("height", SIDES)
@pytest.mark.parametrize("width", SIDES)
def test_it_is_what_denoise_does(width: int, height: int) -> None:
    work = Work(width, height, steps=3, guidance_scale=9.0)
    of_stage = request(work)
    assert work.tiles == len(of_stage.tiles)
    assert work.unet_rows == 3 * len(of_stage.tiles) * of_stage.rows_per_tile
    tile_height, tile_width = of_stage.tiles[0].size
    assert work.tile_pixels == tile_height * tile_width
    padded_height, padded_width = of_stage.padded_size
    assert work.latent_pixels == padded_height * padded_width
    assert work.output_size == (4 * height, 4 * width)


@pytest.mark.parametrize(("guidance_scale", "rows"), [(0, 5), (1, 5), (1.01, 10), (9, 10)])
def test_guidance_doubles_the_rows(guidance_scale: float, rows: int) -> None:
    assert Work(64, 64, 5, guidance_scale).unet_rows == rows


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_scheduler_may_take_calls_and_memory_of_its_own(steps: int) -> None:
    plain = Work(256, 64, steps, 1.0)
    work = replace(plain, scheduler=Scheduler("PNDM", history=3, extra_calls=1))
    calls = work.scheduler.calls(steps)
    assert calls == (1 if steps == 1 else steps + 1)
    assert work.unet_rows == calls * work.tiles
    of_stage = request(work)
    assert of_stage.unet_calls == calls
    assert of_stage.memory_bytes == request(plain).memory_bytes + 3 * 48 * 256 * 64


@pytest.mark.parametrize("interval", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_a_row_of_the_outermost_blocks_costs_less(steps: int, interval: int) -> None:
    cache = StepCache(branch=0, channels=4, stride=2, cost=0.25)
    work = Work(256, 64, steps, 9.0, step_cache=cache, cache_interval=interval)
    of_stage = request(work)
    assert work.shallow_rows == 2 * work.tiles * of_stage.shallow_calls
    whole = work.unet_rows - work.shallow_rows
    assert work.rows_per_round * work.rounds == pytest.approx(whole + 0.25 * work.shallow_rows)
    tile = 4 * 4 * 32 * 68 if of_stage.shallow_calls else 0  # a row of 136 x 64 latents
    plain = request(replace(work, cache_interval=1)).memory_bytes
    assert of_stage.memory_bytes == plain + 2 * work.tiles * tile


def test_a_size_that_no_machine_has_memory_for_takes_none() -> None:
    assert request(Work(131_072, 131_072, 75, 9.0)).memory_bytes > 10**12
