"""The mathematics of one UNet call, for all its jobs at once.

A few operations on stacked tensors, with a coefficient per job as a vector, whatever the number of
jobs: on a GPU the time goes into launching them. They work element by element, so a job's numbers
do not depend on its company.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch

from stages.job import Job
from stages.tiles import Tile

UNet = Callable[[dict[str, torch.Tensor]], torch.Tensor]


def predict(unet: UNet, pairs: Sequence[tuple[Job, Tile]]) -> None:
    """Predict tiles of one size in one call; jobs whose last tile it was take their step.

    unet: the inputs of `unet_inputs` -> noise_pred float32 [rows, 4, h, w], which is written to.
    """
    pairs = sorted(pairs, key=lambda pair: not pair[0].request.is_guided)
    guided = [job for job, _ in pairs if job.request.is_guided]
    noise_pred = guide(unet(unet_inputs(pairs, guided)), guided)
    for (job, tile), part in zip(pairs, torch.split(noise_pred, 1), strict=True):
        job.add_prediction(tile, part)
    take_steps([job for job in dict.fromkeys(job for job, _ in pairs) if job.is_predicted])


def unet_inputs(
    pairs: Sequence[tuple[Job, Tile]], guided: Sequence[Job]
) -> dict[str, torch.Tensor]:
    """A row for every tile, then one without its prompt for the guided ones, which come first.

    Timesteps and labels stay on the host, where the call is put together.
    """
    latents = stacked([tile.window(job.latents) for job, tile in pairs])
    image = stacked([tile.window(job.image) for job, tile in pairs])
    sample = torch.cat([latents, image], dim=1)
    jobs = [*(job for job, _ in pairs), *guided]
    embeds = [job.prompt_embeds for job, _ in pairs] + [
        job.negative_prompt_embeds for job in guided
    ]
    return {
        "sample": torch.cat([sample, sample[: len(guided)]]) if guided else sample,
        "timestep": torch.tensor([[job.timestep] for job in jobs]),
        "encoder_hidden_states": stacked(embeds),
        "class_labels": torch.tensor([[job.request.noise_level] for job in jobs]),
    }


def guide(noise_pred: torch.Tensor, guided: Sequence[Job]) -> torch.Tensor:
    """Weigh the rows without a prompt, which are the last, against those with it, the first."""
    if not guided:
        return noise_pred
    count = len(guided)
    uncond, text = noise_pred[-count:], noise_pred[:count]
    scale = column([job.request.guidance_scale for job in guided], noise_pred)
    noise_pred[:count] = uncond + scale * (text - uncond)
    return noise_pred[:-count]


def take_steps(jobs: Sequence[Job]) -> None:
    """One scheduler step of each, those of one size together."""
    by_size: dict[torch.Size, list[Job]] = defaultdict(list)
    for job in jobs:
        by_size[job.latents.shape].append(job)
    for group in by_size.values():
        latents = stacked([job.latents for job in group])
        noise_pred = stacked([job.noise_pred for job in group])
        a = column([job.schedule.latents_factors[job.steps_done] for job in group], latents)
        b = column([job.schedule.prediction_factors[job.steps_done] for job in group], latents)
        stepped = a * latents + b * noise_pred
        for job, next_latents in zip(group, torch.split(stepped, 1), strict=True):
            job.take_step(next_latents)


def stacked(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Rows below each other; one tensor alone is not copied."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """A number per row, float32 [N, 1, 1, 1] on the device of `like`."""
    return torch.tensor(values, dtype=torch.float32, device=like.device).view(-1, 1, 1, 1)
