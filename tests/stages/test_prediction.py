"""The batched mathematics against the same for each job alone."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from export.schedulers import made_of
from stages.job import Job
from stages.prediction import predict
from stages.schedulers import NAMES
from tests.photographs import photograph
from tests.stages.schedules_file import CONFIG, swapped
from tests.stages.test_job import FakeCaller, job, request, start

Inputs = dict[str, torch.Tensor]


class UNet:
    """Keeps what it was called with; every row of its answer is a function of that row alone."""

    def __init__(self) -> None:
        self.calls: list[Inputs] = []

    def __call__(self, inputs: Inputs) -> list[torch.Tensor]:
        self.calls.append(inputs)
        by_row = inputs["encoder_hidden_states"].mean((1, 2)) + inputs["timestep"][:, 0] / 1000
        by_row += inputs["class_labels"][:, 0] / 100
        mixed: torch.Tensor = (inputs["sample"][:, 1:5] * by_row.view(-1, 1, 1, 1)).sin()
        return [mixed]


def test_a_guided_job_takes_a_row_with_its_prompt_and_one_without() -> None:
    unet, it = UNet(), job()
    predict(unet, [(it, it.request.tiles[0])])
    [inputs] = unet.calls
    assert inputs["sample"].shape == (2, 7, 16, 24)
    assert torch.equal(inputs["sample"][0], inputs["sample"][1])
    assert inputs["encoder_hidden_states"][:, 0, 0].tolist() == [2, 1]  # negative last
    assert inputs["timestep"].tolist() == [[751], [751]]
    assert inputs["class_labels"].tolist() == [[20], [20]]
    plain = job(guidance_scale=1.0)
    predict(unet, [(plain, plain.request.tiles[0])])
    assert unet.calls[1]["sample"].shape == (1, 7, 16, 24)
    assert unet.calls[1]["encoder_hidden_states"][:, 0, 0].tolist() == [2]


def test_a_step_is_guidance_and_the_schedulers_factors() -> None:
    it = job(guidance_scale=3.0)
    before, unet = it.latents.clone(), UNet()
    predict(unet, [(it, it.request.tiles[0])])
    text, uncond = torch.split(unet(unet.calls[0])[0], 1)
    noise_pred = uncond + 3.0 * (text - uncond)
    a, b = it.schedule.factors[:, 0, 0].tolist()
    assert torch.equal(it.latents, a * before + b * noise_pred)
    assert it.steps_done == 1


COMPANY: list[dict[str, Any]] = [
    {"guidance_scale": 1.0, "seed": 1},
    {"guidance_scale": 9.0, "seed": 2, "noise_level": 5},
    {"guidance_scale": 1.0, "seed": 3, "num_inference_steps": 9},
    {"guidance_scale": 4.0, "seed": 4, "num_inference_steps": 7},
]
# Of every history and order, beside each other.
SCHEDULED = [
    {"scheduler": swapped(name)[0], "seed": seed, "num_inference_steps": 5 + seed}
    for seed, name in enumerate(NAMES)
]


def finish(jobs: list[Job]) -> list[torch.Tensor]:
    """Step all until they are finished, each call with a tile of every one that is not."""
    while pairs := [(it, it.next_tiles(1)[0]) for it in jobs if not it.is_finished]:
        predict(UNet(), pairs)
    return [it.latents for it in jobs]


@pytest.mark.parametrize("company", [COMPANY, SCHEDULED + COMPANY], ids=["DDIM", "all"])
def test_company_changes_no_bit(company: list[dict[str, Any]]) -> None:
    together = finish([job(**changes) for changes in company])
    alone = [finish([job(**changes)])[0] for changes in company]
    assert all(torch.equal(*pair) for pair in zip(together, alone, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_latents_are_those_of_diffusers_scheduler(name: str) -> None:
    """In a loop as that of its pipelines, with the scheduler itself."""
    scheduler = made_of(DDIMScheduler(**CONFIG), name)
    it, unet = job(scheduler=swapped(name)[0], num_inference_steps=12, guidance_scale=1.0), UNet()
    scheduler.set_timesteps(12)
    latents = job().latents * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        sample = scheduler.scale_model_input(latents, timestep)
        predict(unet, [(it, it.request.tiles[0])])
        inputs = {**unet.calls[-1], "sample": torch.cat([sample, it.image], dim=1)}
        assert inputs["timestep"].tolist() == [[float(timestep)]]
        latents = scheduler.step(UNet()(inputs)[0], timestep, latents, return_dict=False)[0]
    assert it.is_finished
    torch.testing.assert_close(it.latents, latents, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("guidance_scale", [1.0, 9.0])
@pytest.mark.parametrize("names", [("DDIM", "DDIM"), ("PNDM", "DPMSolverMultistep")])
def test_tiles_share_calls_with_an_image_of_their_size(
    guidance_scale: float, names: tuple[str, str]
) -> None:
    images = [np.asarray(photograph("cat", 240, 100)), np.asarray(photograph("cat", 128, 100))]

    def jobs() -> list[Job]:
        return [
            job(
                image=image,
                guidance_scale=guidance_scale,
                seed=9,
                scheduler=swapped(name)[0],
                num_inference_steps=6,
            )
            for image, name in zip(images, names, strict=True)
        ]

    together = finish(jobs())
    alone = [finish([it])[0] for it in jobs()]
    assert [tuple(latents.shape) for latents in together] == [(1, 4, 104, 240), (1, 4, 104, 128)]
    assert all(torch.equal(*pair) for pair in zip(together, alone, strict=True))


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the names of what torch computes or copies while a block runs; views are neither."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if not func.is_view:
            self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def operations(*schedulers: str, **changes: Any) -> list[str]:
    """Of a step's calls on a device, without the UNet, for each number of jobs of these kinds."""
    names: list[list[str]] = []
    for count in (1, 2, 8):
        jobs = [
            Job(request(seed=seed, scheduler=swapped(name)[0], **changes), FakeCaller())
            for seed in range(count)
            for name in schedulers or ("DDIM",)
        ]
        for it in jobs:
            start(it, torch.device("meta"))
        with Operations() as counted:
            for tile in jobs[0].request.tiles:
                predict(answer_on_meta, [(it, tile) for it in jobs])
        assert all(it.steps_done == 1 for it in jobs)
        names.append(counted.names)
    assert len(names[0]) <= len(names[1])
    assert names[1] == names[2] or jobs[0].request.is_tiled
    return names[-1]


def answer_on_meta(inputs: Inputs) -> list[torch.Tensor]:
    assert {tensor.device.type for tensor in inputs.values()} == {"meta"}
    with _disable_current_modes():
        return [torch.empty_like(inputs["sample"][:, :4])]


@pytest.mark.parametrize("guidance_scale", [1.0, 9.0])
def test_a_step_is_ten_operations_whatever_the_number_of_jobs(guidance_scale: float) -> None:
    found = operations(guidance_scale=guidance_scale)
    assert len(found) <= 10
    assert set(found) <= {"cat", "sub", "mul_", "add", "mul", "add_"}, "no copy to the device"


@pytest.mark.parametrize("guidance_scale", [1.0, 9.0])
@pytest.mark.parametrize("schedulers", [("DPMSolverMultistep",), NAMES], ids=["DPM", "all"])
def test_looking_back_adds_two_operations_and_no_copy(
    guidance_scale: float, schedulers: tuple[str, ...]
) -> None:
    plain = operations(guidance_scale=guidance_scale)
    found = operations(*schedulers, guidance_scale=guidance_scale)
    assert sorted(found) == sorted([*plain, "cat", "add_"])


def test_a_tile_adds_one_operation_and_no_copy() -> None:
    image = np.zeros((16, 240, 3), np.uint8)
    found = operations(image=image, guidance_scale=9.0)
    assert set(found) <= {"cat", "sub", "mul_", "add", "mul", "add_", "addcmul_", "zero_"}
    assert found.count("addcmul_") == 8 * 2
