"""Jobs that reuse deep features, in the loop, with a UNet of two halves that are functions."""

from typing import Any

import numpy as np
import pytest
import torch

from stages.admission import Admission
from stages.errors import InvalidRequest
from stages.limits import MAX_INFERENCE_STEPS
from stages.loop import DenoiseLoop
from stages.step_cache import (
    FEATURE,
    StepCache,
    check_interval,
    full_calls,
    is_full,
    read_step_cache,
    step_cache_text,
)
from tests.stages.schedules_file import swapped
from tests.stages.test_job import FakeCaller, job, request
from tests.stages.test_loop import make_loop

CACHE = StepCache(branch=0, channels=3, stride=2, cost=0.25)
Inputs = dict[str, torch.Tensor]


class Halves:
    """A deep feature of each row alone, and a prediction of it and of the row; keeps its calls."""

    def __init__(self) -> None:
        self.calls: list[Inputs] = []

    def __call__(self, inputs: Inputs) -> list[torch.Tensor]:
        self.calls.append(inputs)
        if FEATURE in inputs:
            return [self.shallow(inputs, inputs[FEATURE])]
        feature = self.deep(inputs)
        return [self.shallow(inputs, feature), feature]

    @staticmethod
    def deep(inputs: Inputs) -> torch.Tensor:
        by_row = inputs["encoder_hidden_states"].mean((1, 2)) + inputs["timestep"][:, 0] / 100
        made: torch.Tensor = inputs["sample"][:, 4:, ::2, ::2] * by_row.view(-1, 1, 1, 1)
        return made.cos()

    @staticmethod
    def shallow(inputs: Inputs, feature: torch.Tensor) -> torch.Tensor:
        wide = feature.repeat_interleave(2, 2).repeat_interleave(2, 3).sum(1, keepdim=True)
        by_row = inputs["timestep"].view(-1, 1, 1, 1) / 1000
        return (inputs["sample"][:, :4] * by_row + wide).sin()


class Reference(Halves):
    """Of one job that knows nothing of a step cache: reuses by itself, counting its calls.

    One call a tile, the tiles of a step one after the other.
    """

    def __init__(self, interval: int, steps: int, tiles: int) -> None:
        super().__init__()
        self.interval, self.steps, self.tiles = interval, steps, tiles
        self.features: dict[int, torch.Tensor] = {}

    def __call__(self, inputs: Inputs) -> list[torch.Tensor]:
        assert FEATURE not in inputs
        step, tile = divmod(len(self.calls), self.tiles)
        self.calls.append(inputs)
        if step % self.interval == 0 or step == self.steps - 1:
            self.features[tile] = self.deep(inputs)
        return [self.shallow(inputs, self.features[tile])]


def submit(loop: DenoiseLoop, interval: int, **changes: Any) -> FakeCaller:
    caller = FakeCaller()
    loop.submit(request(step_cache=CACHE, cache_interval=interval, **changes), caller)
    return caller


def finish(loop: DenoiseLoop) -> None:
    while loop.active_count + loop.waiting_count:
        loop.run_round()


def by_reference(interval: int, **changes: Any) -> torch.Tensor:
    """The latents of a job that is alone with one call a tile."""
    asked = request(**changes)
    loop = make_loop(Reference(interval, asked.unet_calls, len(asked.tiles)))
    loop._unet_batch_size = 1
    caller = FakeCaller()
    loop.submit(asked, caller)
    finish(loop)
    latents: torch.Tensor = caller.answer
    return latents


TILED = np.random.default_rng(0).integers(0, 255, (40, 300, 3), np.uint8)
COMPANY: list[dict[str, Any]] = [
    {"interval": 3, "seed": 1},
    {"interval": 2, "seed": 2, "guidance_scale": 1.0, "num_inference_steps": 7},
    {"interval": 1, "seed": 3, "num_inference_steps": 6},
    {"interval": 5, "seed": 4, "guidance_scale": 1.0, "num_inference_steps": 9},
    {"interval": 3, "seed": 5, "num_inference_steps": 8, "scheduler": swapped("PNDM")[0]},
    {"interval": 1000, "seed": 6, "num_inference_steps": 5},
    {"interval": 2, "seed": 7, "image": TILED, "guidance_scale": 9.0},
]


@pytest.mark.parametrize("asked", COMPANY, ids=lambda asked: f"every {asked['interval']}")
def test_latents_are_those_of_the_same_rule_by_hand(asked: dict[str, Any]) -> None:
    loop = make_loop(Halves())
    caller = submit(loop, **asked)
    finish(loop)
    assert torch.equal(caller.answer, by_reference(**asked))


def test_company_changes_no_bit_though_jobs_are_out_of_phase() -> None:
    loop = make_loop(Halves())
    callers = []
    for asked in COMPANY:
        callers.append(submit(loop, **asked))
        loop.run_round()
    finish(loop)
    for asked, caller in zip(COMPANY, callers, strict=True):
        assert torch.equal(caller.answer, by_reference(**asked)), asked


def test_calls_are_whole_or_shallow_and_each_is_shared() -> None:
    unet = Halves()
    loop = make_loop(unet)
    for interval, count in ((1, 1), (3, 2)):
        for _ in range(count):
            submit(loop, interval, num_inference_steps=6)
    finish(loop)
    rows = [(FEATURE in inputs, len(inputs["sample"])) for inputs in unet.calls]
    both = [(False, 2), (True, 4)]
    assert rows == [(False, 6), *both, *both, (False, 6), *both, (False, 6)]
    assert (loop.counts.unet_rows, loop.counts.unet_shallow_rows) == (36, 12)


def test_a_job_keeps_its_own_rows_alone_and_no_more_than_was_planned() -> None:
    """Not a view of a call's tensor, which would hold the rows of all others."""
    loop = make_loop(Halves())
    for seed in range(4):
        submit(loop, 2, seed=seed, num_inference_steps=4)
    loop.run_round()
    for it in loop._queue.active:
        kept = [tensor for rows in it.features.values() for tensor in rows]
        assert sum(tensor.untyped_storage().nbytes() for tensor in kept) == it.request.feature_bytes
    assert it.request.feature_bytes == 2 * 3 * 4 * 8 * 12
    assert it.request.memory_bytes == request().memory_bytes + it.request.feature_bytes


@pytest.mark.parametrize(
    ("changes", "tiles_and_rows"),
    [
        ({"image": TILED}, 4),
        ({"image": TILED, "guidance_scale": 1.0}, 2),
        ({"image": TILED, "num_inference_steps": 2}, 0),
        ({"image": TILED, "cache_interval": 1}, 0),
    ],
)
def test_memory_is_for_each_row_of_each_tile(changes: dict[str, Any], tiles_and_rows: int) -> None:
    values: dict[str, Any] = {"step_cache": CACHE, "cache_interval": 2, **changes}
    asked = request(**values)
    height, width = asked.tiles[0].size
    assert asked.feature_bytes == tiles_and_rows * 4 * 3 * (height // 2) * (width // 2)
    it = job(**values)
    assert sum(map(len, it.features.values())) == tiles_and_rows
    assert all(
        tensor.device == it.latents.device for rows in it.features.values() for tensor in rows
    )


def test_every_place_has_room_for_the_features_of_a_guided_tile() -> None:
    plain = Admission(8, 19, 77 * 6 * 4)
    plain.check_request(request())
    with pytest.raises(ValueError, match="8 images of one tile need 20 with a step cache; raise"):
        Admission(8, 19, 77 * 6 * 4, step_cache=CACHE)


@pytest.mark.parametrize("interval", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("calls", [1, 2, 3, 7, 10, 50])
def test_the_first_and_the_last_call_are_whole(interval: int, calls: int) -> None:
    whole = [is_full(call, calls, interval) for call in range(calls)]
    assert whole[0]
    assert whole[-1]
    assert whole[:-1] == [call % interval == 0 for call in range(calls - 1)]
    assert full_calls(calls, interval) == sum(whole)


@pytest.mark.parametrize(
    ("interval", "step_cache", "words"),
    [
        (0, CACHE, "step_cache is 0; it must be from 1, which is off, to 1000"),
        (1001, CACHE, "step_cache is 1001; it must be"),
        (
            2,
            None,
            r"step_cache is 2, and this model was exported without .* --step-cache 0` writes",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_in_words(
    interval: int, step_cache: StepCache | None, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        check_interval(interval, step_cache)
    for allowed in (1, 2, MAX_INFERENCE_STEPS):
        check_interval(allowed, CACHE)
    check_interval(1, None)


def test_what_the_export_writes_is_read() -> None:
    assert read_step_cache(step_cache_text(CACHE)) == CACHE
    assert read_step_cache(None) is None
