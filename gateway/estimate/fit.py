"""Whether a server takes an image of a size, and the largest of the same shape that it takes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from gateway.errors import UpscaleError
from gateway.estimate.work import Work
from gateway.images.read import check_size as check_pixels
from gateway.images.write import OutputFormat, check_size
from gateway.settings import Settings
from gateway.triton.served_model import DenoiseLimits
from stages.admission import Admission
from stages.errors import StageError


def check_work(
    work: Work, output_format: OutputFormat, settings: Settings, limits: DenoiseLimits
) -> None:
    """Raises ImageTooLarge, InvalidRequest or a StageError for what is never taken.

    And ValueError where the budget is too small for Triton's tiles, so that it is not Triton's.
    """
    check_pixels(work.width, work.height, settings.max_input_pixels)
    check_size(*work.output_size, output_format)
    request = work.request(limits.prompt_embeds)
    embeds_bytes = request.prompt_embeds.nbytes
    Admission(
        limits.max_active,
        settings.memory_budget_mb,
        embeds_bytes,
        work.max_tile,
        work.step_cache,
    ).check_request(request)


def fitted(
    work: Work,
    output_format: OutputFormat,
    settings: Settings,
    limits: DenoiseLimits,
) -> tuple[int, int]:
    """Width and height that work's image is reduced to, its own where it is taken as it is."""

    def is_taken(size: tuple[int, int]) -> bool:
        try:
            smaller = replace(work, width=size[0], height=size[1])
            check_work(smaller, output_format, settings, limits)
        except (UpscaleError, StageError):
            return False
        except ValueError:
            return True  # as far as this budget goes; Triton has another, and decides
        return True

    return _largest(work.width, work.height, is_taken)


def _largest(
    width: int, height: int, is_taken: Callable[[tuple[int, int]], bool]
) -> tuple[int, int]:
    if is_taken((width, height)):
        return width, height
    size_of = partial(_with_longest_side, width, height)
    taken, refused = 1, max(width, height)
    while refused - taken > 1:
        side = (taken + refused) // 2
        taken, refused = (side, refused) if is_taken(size_of(side)) else (taken, side)
    return size_of(taken)


def _with_longest_side(width: int, height: int, side: int) -> tuple[int, int]:
    longest = max(width, height)
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))
