"""How much work a picture is, from its size, steps and guidance alone; docs/ARCHITECTURE.md."""

from dataclasses import dataclass

import numpy as np

from stages.limits import SCALE
from stages.request import Request
from stages.schedulers import DDIM, Scheduler
from stages.step_cache import StepCache, full_calls
from stages.tiles import MAX_TILE, MULTIPLE, Span, spans


@dataclass(frozen=True)
class Work:
    """Of one request."""

    width: int  # of its image, pixels
    height: int
    steps: int
    guidance_scale: float  # above 1, rows double
    max_tile: int = MAX_TILE  # latent pixels, the largest height and width that goes in one piece
    scheduler: Scheduler = DDIM
    step_cache: StepCache | None = None  # of the repository
    cache_interval: int = 1  # steps from one call of the whole UNet to the next

    @property
    def tiles(self) -> int:
        """Windows of its latents."""
        return len(self._spans(self.height)) * len(self._spans(self.width))

    @property
    def rounds(self) -> int:
        """Tiles predicted in all: denoise takes one a round, beside those of other requests."""
        return self._calls * self.tiles

    @property
    def _calls(self) -> int:
        """Of the UNet, a tile."""
        return self.scheduler.calls(self.steps)

    @property
    def _shallow_calls(self) -> int:
        """Of these, those of its outermost blocks alone."""
        return self._calls - full_calls(self._calls, self.cache_interval)

    @property
    def rows_per_tile(self) -> int:
        return 2 if self.guidance_scale > 1 else 1

    @property
    def unet_rows(self) -> int:
        """Rows of UNet batches in all."""
        return self.rounds * self.rows_per_tile

    @property
    def shallow_rows(self) -> int:
        """Of these, those of its outermost blocks alone."""
        return self._shallow_calls * self.tiles * self.rows_per_tile

    @property
    def rows_per_round(self) -> float:
        """What a round costs, in rows of the whole UNet: as they are on average, by operations."""
        saved = 1 - self.step_cache.cost if self.step_cache else 0.0
        return self.rows_per_tile * (1 - saved * self._shallow_calls / self._calls)

    @property
    def tile_pixels(self) -> int:
        """Latent pixels of one tile."""
        return self._spans(self.height)[0].length * self._spans(self.width)[0].length

    @property
    def latent_pixels(self) -> int:
        """Of the whole picture."""
        return _padded(self.height) * _padded(self.width)

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the result, pixels."""
        return SCALE * self.height, SCALE * self.width

    def request(self, prompt_embeds: tuple[int, ...]) -> Request:
        """As denoise gets it, with arrays that take no memory. prompt_embeds: shape of one."""
        embeds = np.broadcast_to(np.float32(0), prompt_embeds)
        return Request(
            image=np.broadcast_to(np.uint8(0), (self.height, self.width, 3)),
            prompt_embeds=embeds,
            negative_prompt_embeds=embeds,
            seed=0,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance_scale,
            noise_level=0,
            safety_check=False,
            max_tile=self.max_tile,
            scheduler=self.scheduler,
            step_cache=self.step_cache,
            cache_interval=self.cache_interval,
        )

    def _spans(self, side: int) -> tuple[Span, ...]:
        return spans(_padded(side), self.max_tile)


def _padded(side: int) -> int:
    return side + -side % MULTIPLE
