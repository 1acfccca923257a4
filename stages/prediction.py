"""The mathematics of one UNet call, for all its jobs at once.

A few operations on stacked tensors, with a coefficient per job as a vector, whatever the number of
jobs: on a GPU the time goes into launching them. Nothing is copied to the device, where each job
has its numbers of every step. They work element by element, so a job's numbers do not depend on its
company.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch

from stages.job import Job
from stages.schedules import MAX_HISTORY
from stages.step_cache import FEATURE
from stages.tiles import Tile

# The inputs of `unet_inputs` -> noise_pred float32 [rows, 4, h, w], which is written to; and where
# the whole UNet ran and there is a step cache, the deep feature float32 [rows, C, h / n, w / n].
UNet = Callable[[dict[str, torch.Tensor]], list[torch.Tensor]]
# Rows of a job's factors: for the UNet, for guidance, then those of latents and of the prediction
# in what comes after this step, after the next one, and so on.
TIMESTEP, GUIDANCE_SCALE, LATENTS, PREDICTION = 0, 1, 2, 3 + MAX_HISTORY


def predict(unet: UNet, pairs: Sequence[tuple[Job, Tile]]) -> None:
    """Predict tiles of one size in one call; jobs whose last tile it was take their step.

    All of them run the whole UNet, or all its outermost blocks alone.
    """
    pairs = sorted(pairs, key=lambda pair: not pair[0].request.is_guided)
    guided = sum(job.request.is_guided for job, _ in pairs)
    factors = beside([job.factors for job, _ in [*pairs, *pairs[:guided]]])
    inputs = unet_inputs(pairs, guided, factors[TIMESTEP])
    noise_pred, *features = unet(inputs)
    if features:
        keep_features(pairs, features[0])
    noise_pred = guide(noise_pred, guided, factors[GUIDANCE_SCALE])
    for (job, tile), part in zip(pairs, torch.split(noise_pred, 1), strict=True):
        job.add_prediction(tile, part)
    if any(job.request.is_tiled for job, _ in pairs):
        take_steps([job for job in dict.fromkeys(job for job, _ in pairs) if job.is_predicted])
    else:  # what the call was made of is what steps
        latents = inputs["sample"][: len(pairs), : noise_pred.shape[1]]
        step([job for job, _ in pairs], latents, noise_pred, factors[:, : len(pairs)])


def unet_inputs(
    pairs: Sequence[tuple[Job, Tile]], guided: int, timesteps: torch.Tensor
) -> dict[str, torch.Tensor]:
    """A row for every tile, then one without its prompt for the guided ones, which come first.

    timesteps: float32 [rows]. Where the outermost blocks run alone, with the deep features that the
    jobs have kept.
    """
    rows = [*pairs, *pairs[:guided]]
    # Along the channels, so that latents and image of all rows are joined at once.
    parts = [tile.window(tensor)[0] for job, tile in rows for tensor in (job.latents, job.image)]
    channels = sum(len(part) for part in parts[:2])
    embeds = [job.prompt_embeds for job, _ in pairs]
    embeds += [job.negative_prompt_embeds for job, _ in pairs[:guided]]
    inputs = {
        "sample": torch.cat(parts).view(-1, channels, *parts[0].shape[1:]),
        "timestep": timesteps[:, None],
        "encoder_hidden_states": stacked(embeds),
        "class_labels": torch.cat([job.class_labels for job, _ in rows]),
    }
    if pairs[0][0].is_shallow:
        kept = [job.features[tile] for job, tile in pairs]
        with_prompt, without = [rows[0] for rows in kept], [rows[-1] for rows in kept[:guided]]
        inputs[FEATURE] = stacked(with_prompt + without)
    return inputs


def keep_features(pairs: Sequence[tuple[Job, Tile]], feature: torch.Tensor) -> None:
    """Copy each row of a call's deep feature to where its job keeps it, if its next step takes it.

    Not a view of it: that would hold the rows of all the others. The rows are as in `unet_inputs`.
    """
    made = torch.split(feature, 1)
    targets, sources = list[torch.Tensor](), list[torch.Tensor]()
    for index, (job, tile) in enumerate(pairs):
        if job.keeps_features:
            targets += job.features[tile]
            sources += made[index :: len(pairs)]  # with the prompt and, if guided, without
    if targets:
        torch._foreach_copy_(targets, sources)


def guide(noise_pred: torch.Tensor, guided: int, scales: torch.Tensor) -> torch.Tensor:
    """Weigh the rows without a prompt, which are the last, against those with it, the first.

    scales: float32 [N], of the rows with a prompt; those of the guided ones come first.
    """
    if not guided:
        return noise_pred
    text, uncond = noise_pred[:guided], noise_pred[-guided:]
    difference = (text - uncond).mul_(columns(scales[:guided]))
    torch.add(uncond, difference, out=noise_pred[:guided])
    return noise_pred[:-guided]


def take_steps(jobs: Sequence[Job]) -> None:
    """One scheduler step of each, those of one size and history together.

    Beside a job of a longer history one would have results that it does not need, and these are
    large.
    """
    groups: dict[tuple[torch.Size, int], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.latents.shape, job.schedule.history].append(job)
    for group in groups.values():
        latents, noise_pred = (
            stacked([getattr(job, name) for job in group]) for name in ("latents", "noise_pred")
        )
        step(group, latents, noise_pred, beside([job.factors for job in group]))


def step(
    jobs: Sequence[Job], latents: torch.Tensor, noise_pred: torch.Tensor, factors: torch.Tensor
) -> None:
    """The scheduler's step of jobs of one size. factors: float32 [12, N], as `Job.factors`.

    A step's latents and prediction are weighted for all that they are part of: the next latents,
    and, as far as the schedule with the longest history looks back, those after them. So a job
    keeps sums that wait, one for each step ahead, not what it was predicted from.
    """
    ahead = 1 + max(job.schedule.history for job in jobs)
    of_latents, of_prediction = factors[LATENTS:][:ahead], factors[PREDICTION:][:ahead]
    stepped = (columns(of_prediction) * noise_pred).add_(columns(of_latents) * latents)
    if ahead > 1:
        carried = stacked([job.carried(index) for index in range(ahead - 1) for job in jobs])
        stepped[:-1].add_(carried.view_as(stepped[:-1]))
    for job, parts in zip(jobs, torch.split(stepped, 1, dim=1), strict=True):
        job.take_step(*parts)


def stacked(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Rows below each other; one tensor alone is not copied."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def beside(columns: list[torch.Tensor]) -> torch.Tensor:
    """[K, 1] each, to [K, N] whose rows are contiguous."""
    return torch.cat(columns, dim=1)


def columns(values: torch.Tensor) -> torch.Tensor:
    """A number per row: [..., N] -> [..., N, 1, 1, 1], a view."""
    return values[..., None, None, None]
