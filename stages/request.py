"""What a caller of denoise asks for, and who the caller is; nothing here needs torch."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.errors import InvalidRequest
from stages.limits import MAX_INFERENCE_STEPS
from stages.schedulers import DDIM, Scheduler
from stages.step_cache import StepCache, check_interval, full_calls, is_full
from stages.tiles import MAX_TILE, MULTIPLE, Tile, tiles_of

if TYPE_CHECKING:
    import torch

RGB = 3
# Of the padded image. uint8 image 3, float32 image 12, latents, noise_pred, the next latents and
# the answer's copy 16 each, weights of tiles 8 at most; while a job is started, less: image 12,
# noise 12, three products 12.
BYTES_PER_PIXEL = 88
# For each step that the scheduler looks back on: what it adds to those ahead, before and after a
# step, and a product.
HISTORY_BYTES_PER_PIXEL = 48
Progress = tuple[int, int]  # tiles predicted so far and in all; of an image of one tile, its steps


@dataclass(frozen=True, eq=False)
class Request:
    """The inputs of a job."""

    image: NDArray[np.uint8]  # RGB [H, W, 3], any size
    prompt_embeds: NDArray[np.float32]  # [77, D]
    negative_prompt_embeds: NDArray[np.float32]  # [77, D]
    seed: int  # any signed 64-bit integer
    num_inference_steps: int  # 1..MAX_INFERENCE_STEPS
    guidance_scale: float  # 0 or more; above 1 turns guidance on
    noise_level: int  # 0..max_noise_level, the timestep up to which the image is noised
    safety_check: bool  # whether decode is to look at the result
    scheduler: Scheduler = DDIM
    preview_every: int = 0  # steps from one preview to the next; 0 for none
    max_tile: int = MAX_TILE  # latent pixels, the largest height and width that goes in one piece
    step_cache: StepCache | None = None  # of the repository, where it has one
    cache_interval: int = 1  # calls from one of the whole UNet to the next; more needs a step cache

    def validate(self, max_noise_level: int) -> None:
        """Raise InvalidRequest with a sentence that says what is allowed."""
        if self.image.ndim != len("HWC") or self.image.shape[2] != RGB or 0 in self.image.shape:
            raise InvalidRequest(f"image has shape {self.image.shape}; it must be [H, W, 3].")
        if not 1 <= self.num_inference_steps <= MAX_INFERENCE_STEPS:
            raise InvalidRequest(
                f"num_inference_steps is {self.num_inference_steps};"
                f" it must be from 1 to {MAX_INFERENCE_STEPS}."
            )
        if not 0 <= self.noise_level <= max_noise_level:
            raise InvalidRequest(
                f"noise_level is {self.noise_level}; it must be from 0 to {max_noise_level}."
            )
        if not (np.isfinite(self.guidance_scale) and self.guidance_scale >= 0):
            raise InvalidRequest(
                f"guidance_scale is {self.guidance_scale}; it must be a number of at least 0."
            )
        check_interval(self.cache_interval, self.step_cache)

    @property
    def unet_calls(self) -> int:
        """How often each tile is predicted."""
        return self.scheduler.calls(self.num_inference_steps)

    def is_full(self, call: int) -> bool:
        """Whether a call, from 0, for a tile runs the whole UNet."""
        return is_full(call, self.unet_calls, self.cache_interval)

    @property
    def shallow_calls(self) -> int:
        """How often each tile is predicted by the outermost blocks alone."""
        return self.unet_calls - full_calls(self.unet_calls, self.cache_interval)

    @property
    def is_guided(self) -> bool:
        return self.guidance_scale > 1.0  # as in diffusers: 1 means none

    @property
    def rows_per_tile(self) -> int:
        """How many rows of a UNet batch a tile takes: with its prompt and, if guided, without."""
        return 2 if self.is_guided else 1

    @property
    def image_size(self) -> tuple[int, int]:
        """H and W before padding."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def padded_size(self) -> tuple[int, int]:
        """H and W of the latents: the next multiples of 8."""
        height, width = self.image_size
        return height + -height % MULTIPLE, width + -width % MULTIPLE

    @property
    def is_tiled(self) -> bool:
        return max(self.padded_size) > self.max_tile

    @cached_property
    def tiles(self) -> list[Tile]:
        """The windows of its latents, row by row."""
        return tiles_of(*self.padded_size, self.max_tile)

    @property
    def memory_bytes(self) -> int:
        """What its job will hold at most, with a copy of the result in Triton's memory."""
        height, width = self.padded_size
        embeds = self.prompt_embeds.nbytes + self.negative_prompt_embeds.nbytes
        per_pixel = BYTES_PER_PIXEL + HISTORY_BYTES_PER_PIXEL * self.scheduler.history
        return per_pixel * height * width + 2 * embeds + self.feature_bytes

    @property
    def feature_bytes(self) -> int:
        """Of the deep features that its job keeps, one for each row of each tile."""
        if self.step_cache is None or not self.shallow_calls:
            return 0
        row = self.step_cache.feature_bytes(*self.tiles[0].size)
        return len(self.tiles) * self.rows_per_tile * row


class Caller(Protocol):
    """Who waits for the answer to a request.

    The loop asks and answers on its own thread. It reports on another, and answers once that is
    done.
    """

    wants_progress: bool  # whether `report` is to be called

    def is_cancelled(self) -> bool:
        """Whether nobody waits any more."""

    def is_past_deadline(self) -> bool:
        """Whether an answer would come too late."""

    def report(self, progress: Progress, denoised: "torch.Tensor | None") -> None:
        """Take the progress and, at times, the latents without noise, float32 [1, 4, h, w]."""

    def send(self, request: Request, latents: "torch.Tensor") -> None:
        """Take the answer: latents float32 [1, 4, h, w], padded."""

    def fail(self, error: Exception) -> None:
        """Take an error in the answer's place."""
