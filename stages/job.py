"""One request on its way: who waits for it, and the latents as they stand."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stages.errors import BrokenPicture
from stages.request import Caller, Progress, Request
from stages.schedules import MAX_HISTORY, Schedule
from stages.tiles import MULTIPLE, Tile

LATENT_CHANNELS = 4
PREVIEW_SIDE = 256  # of the latents that a preview is made of, at most
SIGN_OF_LIFE_S = 1.0  # between two reports to a caller whose job waits
logger = logging.getLogger("denoise")


class Job:
    """A request with its caller and, once started, its latents.

    The latents are a pure function of the request, whoever shares the job's batches. At every step
    the UNet predicts each tile, the predictions are blended (Bar-Tal et al., MultiDiffusion, 2023)
    and the scheduler steps the whole latents, so that the tiles agree. An image of one tile is one
    piece, as in diffusers. prediction.py has the mathematics.
    """

    # Only once the job is started, all tensors on its device, so that no step copies to it:
    schedule: Schedule
    image: torch.Tensor  # float32 [1, 3, h, w], noised
    latents: torch.Tensor  # float32 [1, 4, h, w], after `steps_done` steps, as the UNet gets them
    # float32 [1, 4, h, w] each: what the steps so far add to the latents after the next one, after
    # the one that follows it, and so on.
    _carried: Sequence[torch.Tensor] = ()
    noise_pred: torch.Tensor  # float32 [1, 4, h, w], of this step, complete once is_predicted
    prompt_embeds: torch.Tensor  # float32 [1, 77, D]
    negative_prompt_embeds: torch.Tensor  # float32 [1, 77, D]
    class_labels: torch.Tensor  # int64 [1, 1], the noise level
    # float32 [12, S]: of each step the timestep, the guidance scale, then the schedule's factors of
    # latents and of the prediction, with zeros for what it does not look back on.
    _factors: torch.Tensor
    # Of each tile, where a step cache keeps them: float32 [1, C, h, w] for the row with the prompt
    # and, if guided, for that without.
    features: dict[Tile, list[torch.Tensor]]
    _nothing: torch.Tensor  # float32 [1, 4, h, w] of zeros, which take no memory
    _weights: list[torch.Tensor]  # float32 [h, w] of each tile, where there are several

    def __init__(self, request: Request, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.steps_done = 0
        self._tiles_done = 0  # of this step
        self._denoised: torch.Tensor | None = None  # for the next preview, until somebody takes it
        self._reported = 0  # tiles
        self._reported_at = time.monotonic()

    def start(
        self, schedule: Schedule, noise_factors: tuple[float, float], device: torch.device
    ) -> None:
        """Make the latents. noise_factors: of the image and of the noise in it."""
        request = self.request
        # diffusers' order: first the noise of the low-res image, then the latents. Always on the
        # CPU, whose generator gives the same numbers on every machine.
        generator = torch.Generator().manual_seed(request.seed)
        image = preprocess(request.image)
        noise = torch.randn(image.shape, generator=generator)
        image_factor, noise_factor = noise_factors
        self.image = (image_factor * image + noise_factor * noise).to(device)
        latents = torch.randn((1, LATENT_CHANNELS, *image.shape[2:]), generator=generator)
        latents *= schedule.noise_factor
        self.prompt_embeds, self.negative_prompt_embeds = (
            torch.from_numpy(embeds)[None].to(device)
            for embeds in (request.prompt_embeds, request.negative_prompt_embeds)
        )
        self.schedule = schedule
        self.latents = latents.to(device)
        self.class_labels = torch.tensor([[request.noise_level]], device=device)
        self._factors = torch.from_numpy(factors_of(schedule, request.guidance_scale)).to(device)
        self._nothing = torch.zeros((1, 1, 1, 1), device=device).expand_as(latents)
        tiles = request.tiles if request.is_tiled else []
        self._weights = [torch.from_numpy(tile.weights).to(device) for tile in tiles]
        self.features = empty_features(request, device)
        # The last of all: by it the loop's thread sees that the job is started.
        self.noise_pred = torch.zeros_like(self.latents)

    @property
    def is_started(self) -> bool:
        return hasattr(self, "noise_pred")

    @property
    def factors(self) -> torch.Tensor:
        """The numbers of this step, as prediction.py's rows have them: a view [12, 1]."""
        return self._factors[:, self.steps_done : self.steps_done + 1]

    @property
    def is_shallow(self) -> bool:
        """Whether this step runs the outermost blocks alone."""
        return not self.request.is_full(self.steps_done)

    @property
    def keeps_features(self) -> bool:
        """Whether this step makes the deep features that the next one takes."""
        following = self.steps_done + 1
        is_needed = following < self.request.unet_calls and not self.request.is_full(following)
        return is_needed and not self.is_shallow

    def carried(self, index: int) -> torch.Tensor:
        """What earlier steps add to the latents after this one, and `index` steps later."""
        return self._carried[index] if index < len(self._carried) else self._nothing

    @property
    def is_predicted(self) -> bool:
        """Whether all tiles of this step are."""
        return self._tiles_done == len(self.request.tiles)

    @property
    def is_finished(self) -> bool:
        return self.steps_done == self.request.unet_calls

    @property
    def progress(self) -> Progress:
        count = len(self.request.tiles)
        done = self.steps_done * count + self._tiles_done
        return done, self.request.unet_calls * count

    def next_tiles(self, count: int) -> list[Tile]:
        """At most `count` of those that this step has not predicted yet."""
        return self.request.tiles[self._tiles_done : self._tiles_done + count]

    def add_prediction(self, tile: Tile, noise_pred: torch.Tensor) -> None:
        """Take the prediction of the next tile, float32 [1, 4, tile height, tile width]."""
        if self.request.is_tiled:
            weights = self._weights[self._tiles_done]
            tile.window(self.noise_pred).addcmul_(noise_pred, weights)
        else:
            self.noise_pred = noise_pred
        self._tiles_done += 1

    def take_step(self, latents: torch.Tensor, *carried: torch.Tensor) -> None:
        """Go on to the next step, with the latents that the scheduler has made for it.

        carried: what is to be added to those after it, as many as any job of the call has.
        """
        every, steps = self.request.preview_every, self.steps_done + 1
        if every and steps % every == 0 and steps < self.request.unet_calls:
            latents_factor, prediction_factor = self.schedule.denoised_factors(self.steps_done)
            height, width = self.request.image_size
            before, noise_pred = (
                thinned(tensor[..., :height, :width]) for tensor in (self.latents, self.noise_pred)
            )
            self._denoised = latents_factor * before + prediction_factor * noise_pred
        self.latents = latents
        self._carried = carried[: self.schedule.history]
        if self.request.is_tiled:
            self.noise_pred.zero_()
        self._tiles_done = 0
        self.steps_done = steps

    def take_denoised(self) -> torch.Tensor | None:
        """The latents without noise of the last preview, float32 [1, 4, h, w], once."""
        denoised, self._denoised = self._denoised, None
        return denoised

    def next_report(self) -> "Report | None":
        """How far the job is, if it is further than at the last time.

        One that waits has news at times, that it still does: so its caller knows that the loop is
        alive.
        """
        now = time.monotonic()
        if self.progress[0] == self._reported and (
            self.is_started or now - self._reported_at < SIGN_OF_LIFE_S
        ):
            return None
        self._reported, self._reported_at = self.progress[0], now
        return Report(self.caller, self.progress, self.take_denoised())

    def send(self) -> None:
        """Answer the caller with the finished latents."""
        try:
            self.caller.send(self.request, self.latents)
        except BrokenPicture as error:
            logger.error("%s", error)
            self.fail(error)
        except Exception as error:  # of this caller alone: there may be no memory for its latents
            logger.exception("a finished job could not be sent")
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Answer the caller with an error."""
        try:
            self.caller.fail(error)
        except Exception:  # of this caller alone
            logger.exception("an error could not be sent")


@dataclass(frozen=True)
class Report:
    """How far a job was, for its caller."""

    caller: Caller
    progress: Progress
    denoised: torch.Tensor | None  # latents without noise, float32 [1, 4, h, w], at times

    def send(self) -> None:
        """Tell the caller; that it cannot be told is none of its job's."""
        try:
            self.caller.report(self.progress, self.denoised)
        except Exception:  # of this caller alone
            logger.exception("progress could not be sent")


def factors_of(schedule: Schedule, guidance_scale: float) -> NDArray[np.float32]:
    """The rows of prediction.py: float32 [12, S]."""
    factors = np.zeros((2, MAX_HISTORY + 1, len(schedule)), np.float32)
    factors[:, : schedule.history + 1] = schedule.factors
    scale = np.full(len(schedule), guidance_scale, np.float32)
    return np.stack([schedule.timesteps, scale, *factors[0], *factors[1]])


def empty_features(request: Request, device: torch.device) -> dict[Tile, list[torch.Tensor]]:
    """Room for a job's deep features, all of it from its start: it is planned for."""
    if request.step_cache is None or not request.shallow_calls:
        return {}
    size = request.step_cache.feature_size(*request.tiles[0].size)
    return {
        tile: [torch.empty((1, *size), device=device) for _ in range(request.rows_per_tile)]
        for tile in request.tiles
    }


def thinned(tensor: torch.Tensor) -> torch.Tensor:
    """Every so many rows and columns of [1, C, h, w], PREVIEW_SIDE of each at most; a view."""
    stride = -(-max(tensor.shape[2:]) // PREVIEW_SIDE)
    return tensor[..., ::stride, ::stride]


def preprocess(image: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 [H, W, 3] -> float32 [1, 3, h, w] in -1..1, as diffusers' `VaeImageProcessor`.

    h and w are the next multiples of 8; the last row and column are repeated to get there.
    """
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)), mode="edge")
    pixels = torch.from_numpy(padded.astype(np.float32) / 255.0)
    return 2.0 * pixels.permute(2, 0, 1)[None] - 1.0
