"""Jobs against the first lines of diffusers' pipeline."""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.image_processor import VaeImageProcessor

from export.schedulers import made_of
from stages.errors import InvalidRequest
from stages.job import Job, preprocess, thinned
from stages.request import Progress, Request
from stages.schedulers import Scheduler
from stages.tiles import MAX_TILE
from tests.photographs import photograph
from tests.stages.schedules_file import CONFIG, schedules_of, swapped
from tests.tiny_pipeline import BETAS

CPU = torch.device("cpu")


@dataclass
class FakeCaller:
    """Keeps its answer; cancelled or late when a test says so."""

    answer: Any = None
    cancelled: bool = False
    late: bool = False
    wants_progress: bool = True
    looks: int = 0  # at whether it is cancelled
    reports: list[Progress] = field(default_factory=list)
    answered: threading.Event = field(default_factory=threading.Event)

    def is_cancelled(self) -> bool:
        self.looks += 1
        return self.cancelled

    def is_past_deadline(self) -> bool:
        return self.late

    def report(self, progress: Progress, _: torch.Tensor | None) -> None:
        self.reports.append(progress)

    def send(self, _: Request, latents: torch.Tensor) -> None:
        self.answer = latents
        self.answered.set()

    def fail(self, error: Exception) -> None:
        self.answer = error
        self.answered.set()


def request(**changes: Any) -> Request:
    values = {
        "image": np.asarray(photograph("cat", 24, 16)),
        "prompt_embeds": np.full((77, 6), 2, np.float32),
        "negative_prompt_embeds": np.full((77, 6), 1, np.float32),
        "seed": 3,
        "num_inference_steps": 4,
        "guidance_scale": 9.0,
        "noise_level": 20,
        "safety_check": True,
    }
    return Request(**{**values, **changes})


def start(job: Job, device: torch.device = CPU) -> None:
    scheduler = job.request.scheduler
    schedules = schedules_of() if scheduler.name == "DDIM" else swapped(scheduler.name)[1]
    job.start(
        schedules.schedule_of(job.request.num_inference_steps, scheduler),
        schedules.noise_factors_of(job.request.noise_level),
        device,
    )


def job(**changes: Any) -> Job:
    made = Job(request(**changes), FakeCaller())
    start(made)
    return made


def test_preprocess_is_that_of_diffusers() -> None:
    image = photograph("astronaut", 32, 24)
    expected = VaeImageProcessor(vae_scale_factor=4).preprocess(image)
    assert torch.equal(preprocess(np.asarray(image)), expected)


def test_preprocess_repeats_the_border_up_to_multiples_of_8() -> None:
    image = np.asarray(photograph("astronaut", 9, 17))
    padded = preprocess(image)
    assert padded.shape == (1, 3, 24, 16)
    assert torch.equal(padded[..., 16:, :9], padded[..., 16:17, :9].expand(-1, -1, 8, -1))
    assert torch.equal(padded[..., 9:], padded[..., 8:9].expand(-1, -1, -1, 7))


def test_noise_is_drawn_in_the_order_of_diffusers() -> None:
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(1, 3, 16, 24, generator=generator)
    latents = torch.randn(1, 4, 16, 24, generator=generator)
    image = preprocess(request().image)
    expected = DDPMScheduler(**BETAS).add_noise(image, noise, torch.tensor([20]))
    assert torch.equal(job().latents, latents)
    assert torch.equal(job().image, expected)


@pytest.mark.parametrize("name", ["EulerDiscrete", "UniPCMultistep"])
def test_the_first_latents_are_scaled_as_by_diffusers(name: str) -> None:
    scheduler = made_of(DDIMScheduler(**CONFIG), name)
    scheduler.set_timesteps(4)
    plain, scaled = job(), job(scheduler=swapped(name)[0])
    noise = plain.latents * scheduler.init_noise_sigma
    expected = scheduler.scale_model_input(noise, scheduler.timesteps[0])
    torch.testing.assert_close(scaled.latents, expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(scaled.image, plain.image)


def test_a_scheduler_of_more_calls_takes_them() -> None:
    scheduler, _ = swapped("PNDM")
    assert (scheduler.history, scheduler.extra_calls) == (3, 1)
    it = job(scheduler=scheduler, num_inference_steps=3)
    assert it.progress == (0, 4)
    while not it.is_finished:
        it.add_prediction(it.request.tiles[0], torch.zeros(1, 4, 16, 24))
        it.take_step(it.latents)
    assert it.progress == (4, 4)


def test_memory_is_planned_for_what_a_scheduler_looks_back_on() -> None:
    ddim, pndm = request(), request(scheduler=Scheduler("PNDM", history=4, extra_calls=1))
    assert pndm.memory_bytes - ddim.memory_bytes == 4 * 48 * 16 * 24


def test_the_latents_are_where_the_engine_is() -> None:
    made = Job(request(), FakeCaller())
    assert not made.is_started
    start(made, torch.device("meta"))
    assert made.is_started
    for tensor in (made.image, made.latents, made.noise_pred, made.prompt_embeds):
        assert tensor.device.type == "meta"


def test_it_is_finished_after_its_steps() -> None:
    it = job(num_inference_steps=2)
    for _ in range(2):
        assert not it.is_finished
        it.add_prediction(it.request.tiles[0], torch.zeros(1, 4, 16, 24))
        assert it.is_predicted
        it.take_step(it.latents)
        assert not it.is_predicted
    assert it.is_finished


def test_a_large_image_steps_once_all_its_tiles_are_predicted() -> None:
    image = np.asarray(photograph("cat", 340, 200))
    it = job(image=image, num_inference_steps=2)
    assert it.request.is_tiled
    assert {tile.size for tile in it.request.tiles} == {(112, 128)}
    assert len(it.request.tiles) == 6
    whole = torch.randn(it.latents.shape)
    for count in (4, 2):
        assert not it.is_predicted
        for tile in it.next_tiles(count):
            it.add_prediction(tile, tile.window(whole))
    assert it.is_predicted
    torch.testing.assert_close(it.noise_pred, whole)
    it.take_step(it.latents)
    assert it.steps_done == 1
    assert len(it.next_tiles(99)) == 6
    assert not it.noise_pred.any()


@pytest.mark.parametrize("size", [(4000, 16), (1, 1), (8, 5000)])
def test_long_and_thin_images_have_thin_tiles(size: tuple[int, int]) -> None:
    it = job(image=np.zeros((size[1], size[0], 3), np.uint8))
    [shape] = {tile.size for tile in it.request.tiles}
    for length, side in zip(shape, it.request.padded_size, strict=True):
        assert length == side if side <= MAX_TILE else 128 < length <= MAX_TILE
    for tile in it.request.tiles:
        assert tile.window(it.latents).shape == (1, 4, *shape)
        it.add_prediction(tile, torch.zeros(1, 4, *shape))
    assert it.is_predicted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((4, 4), np.uint8)}, r"shape \(4, 4\)"),
        ({"image": np.zeros((4, 4, 4), np.uint8)}, r"must be \[H, W, 3\]"),
        ({"image": np.zeros((0, 4, 3), np.uint8)}, r"shape \(0, 4, 3\)"),
        ({"num_inference_steps": 0}, "from 1 to 1000"),
        ({"noise_level": 351}, "from 0 to 350"),
        ({"guidance_scale": float("inf")}, "a number of at least 0"),
        ({"guidance_scale": -1.0}, "a number of at least 0"),
    ],
)
def test_invalid_values_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        request(**change).validate(max_noise_level=350)
    request().validate(max_noise_level=350)


def test_a_preview_is_made_after_every_so_many_steps_but_not_after_the_last() -> None:
    it = job(preview_every=2, num_inference_steps=4, image=np.zeros((9, 20, 3), np.uint8))
    seen = []
    while not it.is_finished:
        before, step = it.latents, it.steps_done
        noise_pred, after = torch.randn(2, 1, 4, 16, 24)
        it.add_prediction(it.request.tiles[0], noise_pred)
        it.take_step(after)
        assert it.latents is after
        if (denoised := it.take_denoised()) is not None:
            assert it.take_denoised() is None
            seen.append(it.steps_done)
            c, d = it.schedule.denoised_factors(step)
            expected = (c * before + d * noise_pred)[..., :9, :20]
            torch.testing.assert_close(denoised, expected)
    assert seen == [2]


def test_a_preview_of_a_large_image_is_thinned() -> None:
    assert thinned(torch.zeros(1, 4, 8, 1024)).shape == (1, 4, 2, 256)
    assert thinned(torch.zeros(1, 4, 256, 256)).shape == (1, 4, 256, 256)
