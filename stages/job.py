"""One request on its way: who waits for it, and the latents as they stand."""

import logging
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stages.errors import BrokenPicture
from stages.request import Caller, Progress, Request
from stages.schedules import Schedule
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
    latents: torch.Tensor  # float32 [1, 4, h, w], after `steps_done` steps
    noise_pred: torch.Tensor  # float32 [1, 4, h, w], of this step, complete once is_predicted
    prompt_embeds: torch.Tensor  # float32 [1, 77, D]
    negative_prompt_embeds: torch.Tensor  # float32 [1, 77, D]
    _labels: torch.Tensor  # int64 [2, S]: of each step the timestep and the noise level
    # float32 [3, S]: of each step the factors of latents and prediction, and the guidance scale.
    _factors: torch.Tensor
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
        self.prompt_embeds, self.negative_prompt_embeds = (
            torch.from_numpy(embeds)[None].to(device)
            for embeds in (request.prompt_embeds, request.negative_prompt_embeds)
        )
        self.schedule = schedule
        self.latents = latents.to(device)
        labels = np.stack([schedule.timesteps, np.full(len(schedule), request.noise_level)])
        self._labels = torch.from_numpy(labels).to(device)
        scale = np.full((1, len(schedule)), request.guidance_scale, np.float32)
        self._factors = torch.from_numpy(np.concatenate([schedule.factors[:2], scale])).to(device)
        tiles = request.tiles if request.is_tiled else []
        self._weights = [torch.from_numpy(tile.weights).to(device) for tile in tiles]
        # The last of all: by it the loop's thread sees that the job is started.
        self.noise_pred = torch.zeros_like(self.latents)

    @property
    def is_started(self) -> bool:
        return hasattr(self, "noise_pred")

    @property
    def labels(self) -> torch.Tensor:
        """Of this step, timestep and noise level: int64 [2, 1], a view."""
        return self._labels[:, self.steps_done : self.steps_done + 1]

    @property
    def factors(self) -> torch.Tensor:
        """Of this step, those of latents and prediction and the guidance scale: a view [3, 1]."""
        return self._factors[:, self.steps_done : self.steps_done + 1]

    @property
    def is_predicted(self) -> bool:
        """Whether all tiles of this step are."""
        return self._tiles_done == len(self.request.tiles)

    @property
    def is_finished(self) -> bool:
        return self.steps_done == self.request.num_inference_steps

    @property
    def progress(self) -> Progress:
        count = len(self.request.tiles)
        done = self.steps_done * count + self._tiles_done
        return done, self.request.num_inference_steps * count

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

    def take_step(self, latents: torch.Tensor) -> None:
        """Go on to the next step, with the latents that the scheduler has made for it."""
        every, steps = self.request.preview_every, self.steps_done + 1
        if every and steps % every == 0 and steps < self.request.num_inference_steps:
            latents_factor, prediction_factor = self.schedule.denoised_factors(self.steps_done)
            height, width = self.request.image_size
            before, noise_pred = (
                thinned(tensor[..., :height, :width]) for tensor in (self.latents, self.noise_pred)
            )
            self._denoised = latents_factor * before + prediction_factor * noise_pred
        self.latents = latents
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
