"""One image on its way: what was asked for, and the latents as they stand."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from stages.schedules import Schedule
from stages.tiles import TILE, Span, spans

MAX_INFERENCE_STEPS = 1000
SIZE_MULTIPLE = 8  # the UNet halves three times
LATENT_CHANNELS = 4
# Of the padded image. uint8 image 3, float32 image 12, latents, noise_pred, the next latents and
# the answer's copy 16 each; while a job is made, less: image 12, its noise 12, three products 12.
BYTES_PER_PIXEL = 80
RGB = 3
PREVIEW_SIDE = 256  # of the latents that a preview is made of, at most
CPU = torch.device("cpu")
Progress = tuple[int, int]  # tiles predicted so far and in all; of an image of one tile, its steps


class Caller(Protocol):
    """Who waits for a job."""

    def is_cancelled(self) -> bool: ...
    def is_past_deadline(self) -> bool: ...
    def report(self, progress: "Progress", denoised: torch.Tensor | None) -> None: ...
    def send(self, job: "Job") -> None: ...
    def fail(self, error: Exception) -> None: ...


class InvalidRequest(Exception):
    """A request whose values no job can be made of."""


@dataclass(frozen=True)
class Request:
    """The inputs of a job.

    image: RGB uint8 [H, W, 3], any size. prompt_embeds, negative_prompt_embeds: float32 [77, D].
    seed: any signed 64-bit integer. num_inference_steps: 1..1000. guidance_scale: above 1 turns
    guidance on. noise_level: 0..max_noise_level, the timestep up to which the image is noised.
    preview_every: steps from one preview to the next; 0 for none.
    """

    image: NDArray[np.uint8]
    prompt_embeds: NDArray[np.float32]
    negative_prompt_embeds: NDArray[np.float32]
    seed: int
    num_inference_steps: int
    guidance_scale: float
    noise_level: int
    safety_check: bool
    preview_every: int = 0

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

    @property
    def is_guided(self) -> bool:
        return self.guidance_scale > 1.0  # as in diffusers: 1 means none

    @property
    def image_size(self) -> tuple[int, int]:
        """H and W before padding."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def padded_size(self) -> tuple[int, int]:
        """H and W of the latents: the next multiples of 8."""
        height, width = self.image_size
        return height + -height % SIZE_MULTIPLE, width + -width % SIZE_MULTIPLE

    @property
    def is_tiled(self) -> bool:
        return max(self.padded_size) > TILE

    @property
    def tiles(self) -> list["Tile"]:
        """The windows of its latents, by rows."""
        height, width = self.padded_size
        return [Tile(rows, columns) for rows in spans(height) for columns in spans(width)]

    @property
    def memory_bytes(self) -> int:
        """What its job will hold at most, with a copy of the result in Triton's memory."""
        height, width = self.padded_size
        embeds = self.prompt_embeds.nbytes + self.negative_prompt_embeds.nbytes
        return BYTES_PER_PIXEL * height * width + 2 * embeds


@dataclass(frozen=True)
class Tile:
    """A window of a job's latents: one row of a UNet batch, two with guidance."""

    rows: Span
    columns: Span

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows.length, self.columns.length

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The window as a view: [1, C, h, w] -> [1, C, tile height, tile width]."""
        return tensor[..., self.rows.latents, self.columns.latents]

    def weights(self, device: torch.device) -> torch.Tensor:
        """Its weights in the blend, float32 [tile height, tile width]."""
        rows, columns = (
            torch.from_numpy(span.weights).to(device) for span in (self.rows, self.columns)
        )
        return torch.outer(rows, columns)


class Job:
    """A request with its latents: a pure function of its inputs, whoever shares its batches.

    At every step the UNet predicts each tile, the predictions are blended (Bar-Tal et al.,
    MultiDiffusion, 2023) and the scheduler steps the whole latents, so that the tiles agree. An
    image of one tile is one piece, as in diffusers. prediction.py has the mathematics.

    latents: float32 [1, 4, h, w]. image: float32 [1, 3, h, w], noised. Both are on `device`, and
    so are prompt_embeds and negative_prompt_embeds, float32 [1, 77, D].
    noise_pred: of this step, float32 [1, 4, h, w], complete once is_predicted.
    denoised: for the preview, after a step that has one; until somebody took it.
    """

    def __init__(
        self,
        request: Request,
        schedule: Schedule,
        low_res_scheduler: Any,
        device: torch.device = CPU,
    ) -> None:
        self.request = request
        self.schedule = schedule
        self.step = 0
        self.prompt_embeds, self.negative_prompt_embeds = (
            torch.from_numpy(embeds)[None].to(device)
            for embeds in (request.prompt_embeds, request.negative_prompt_embeds)
        )
        # diffusers' order: first the noise of the low-res image, then the latents. Always on the
        # CPU, whose generator gives the same numbers on every machine.
        generator = torch.Generator().manual_seed(request.seed)
        image = preprocess(request.image)
        noise = torch.randn(image.shape, generator=generator)
        noise_level = torch.tensor([request.noise_level])
        self.image = low_res_scheduler.add_noise(image, noise, noise_level).to(device)
        latents = torch.randn((1, LATENT_CHANNELS, *image.shape[2:]), generator=generator)
        self.latents = latents.to(device)
        self.tiles = request.tiles
        self.noise_pred = torch.zeros_like(self.latents)
        self._predicted = 0  # tiles of this step
        self.denoised: torch.Tensor | None = None

    @property
    def rows(self) -> int:
        """How many rows of a UNet batch a tile takes."""
        return 2 if self.request.is_guided else 1

    @property
    def timestep(self) -> int:
        return self.schedule.timesteps[self.step]

    @property
    def is_predicted(self) -> bool:
        """Whether all tiles of this step are."""
        return self._predicted == len(self.tiles)

    @property
    def is_finished(self) -> bool:
        return self.step == len(self.schedule)

    @property
    def progress(self) -> Progress:
        done = self.step * len(self.tiles) + self._predicted
        return done, len(self.schedule) * len(self.tiles)

    def next_tiles(self, count: int) -> list[Tile]:
        """At most `count` of those that this step has not predicted yet."""
        return self.tiles[self._predicted : self._predicted + count]

    def add(self, tile: Tile, noise_pred: torch.Tensor) -> None:
        """Take the prediction of the next tile, float32 [1, 4, tile height, tile width]."""
        if len(self.tiles) == 1:
            self.noise_pred = noise_pred
        else:
            weights = tile.weights(noise_pred.device)
            tile.of(self.noise_pred).add_(noise_pred * weights)
        self._predicted += 1

    def advance(self, latents: torch.Tensor) -> None:
        """Go on to the next step, with the latents that the scheduler has made for it."""
        every = self.request.preview_every
        if every and (self.step + 1) % every == 0 and self.step + 1 < len(self.schedule):
            c, d = self.schedule.denoised_factors[self.step]
            height, width = self.request.image_size
            before, noise_pred = (
                thinned(tensor[..., :height, :width]) for tensor in (self.latents, self.noise_pred)
            )
            self.denoised = c * before + d * noise_pred
        self.latents = latents
        if len(self.tiles) > 1:
            self.noise_pred.zero_()
        self._predicted = 0
        self.step += 1

    def take_denoised(self) -> torch.Tensor | None:
        """What the next preview is made of, once."""
        denoised, self.denoised = self.denoised, None
        return denoised


def thinned(tensor: torch.Tensor) -> torch.Tensor:
    """Every so many rows and columns of [1, C, h, w], PREVIEW_SIDE of each at most; a view."""
    stride = -(-max(tensor.shape[2:]) // PREVIEW_SIDE)
    return tensor[..., ::stride, ::stride]


def preprocess(image: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 [H, W, 3] -> float32 [1, 3, h, w] in -1..1, as diffusers' `VaeImageProcessor`.

    h and w are the next multiples of 8; the last row and column are repeated to get there.
    """
    height, width = image.shape[:2]
    padded = np.pad(
        image, ((0, -height % SIZE_MULTIPLE), (0, -width % SIZE_MULTIPLE), (0, 0)), mode="edge"
    )
    pixels = torch.from_numpy(padded.astype(np.float32) / 255.0)
    return 2.0 * pixels.permute(2, 0, 1)[None] - 1.0
