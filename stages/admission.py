"""Which jobs may be active together, so that memory is planned and nobody starves.

Images of one tile are small and soon done, tiled ones are neither. So they queue apart, each queue
in the order of arrival:

- Tiled jobs share the memory budget, less what the other places need if all are taken by images of
  one tile, and at most half of the places. When a place is free, they come first.
- Images of one tile take any place that is left and need no look at the budget.

So a stream of small images never keeps a large one out, which gets the next free place, and large
ones never take the last place or the last memory from small ones.
"""

from collections.abc import Sequence

from stages.errors import ImageTooLarge
from stages.request import BYTES_PER_PIXEL, Request
from stages.step_cache import StepCache
from stages.tiles import MAX_TILE

MEGABYTE = 1_000_000
GUIDED_ROWS = 2


class Admission:
    """The bounds on active jobs.

    max_active: how many. memory_budget_mb: of their latents, images and tiles, 10^6 bytes.
    prompt_embeds_bytes: of one prompt. max_tile: of the requests. step_cache: of the repository, so
    that any place may need the deep features of a guided job. Raises ValueError when the budget is
    too small.
    """

    def __init__(
        self,
        max_active: int,
        memory_budget_mb: int,
        prompt_embeds_bytes: int,
        max_tile: int = MAX_TILE,
        step_cache: StepCache | None = None,
    ) -> None:
        self.max_active = max_active
        self._max_tiled = max(1, max_active // 2)
        features = GUIDED_ROWS * step_cache.feature_bytes(max_tile, max_tile) if step_cache else 0
        place = BYTES_PER_PIXEL * max_tile**2 + 4 * prompt_embeds_bytes + features
        reserve = max_active * place
        self._budget_mb = memory_budget_mb
        self._tiled_bytes = memory_budget_mb * MEGABYTE - reserve
        if self._tiled_bytes < 0:
            raise ValueError(
                f"MEMORY_BUDGET_MB={memory_budget_mb}: {max_active} images of one tile need"
                f" {-(-reserve // MEGABYTE)}{' with a step cache' if features else ''}; raise it or"
                " lower max_active."
            )

    def check_request(self, request: Request) -> None:
        """Raise ImageTooLarge for an image that would not fit even alone."""
        if request.is_tiled and request.memory_bytes > self._tiled_bytes:
            height, width = request.image_size
            raise ImageTooLarge(
                f"The image is too large for this server: {width} x {height} pixels take"
                f" {-(-request.memory_bytes // MEGABYTE)} MB, and there are"
                f" {self._tiled_bytes // MEGABYTE} MB for large images"
                f" (MEMORY_BUDGET_MB={self._budget_mb})."
            )

    def fits(self, request: Request, active: Sequence[Request]) -> bool:
        """Whether the request may join those that are active."""
        if len(active) >= self.max_active:
            return False
        if not request.is_tiled:
            return True
        tiled = [other for other in active if other.is_tiled]
        held = sum(other.memory_bytes for other in tiled)
        return len(tiled) < self._max_tiled and held + request.memory_bytes <= self._tiled_bytes
