from typing import Any

import numpy as np
import pytest

from stages.admission import Admission
from stages.errors import ImageTooLarge
from stages.request import Request
from tests.stages.test_job import job, request

EMBEDS_BYTES = 77 * 6 * 4


def small() -> Request:
    return request()


def tiled(side: int = 256) -> Request:
    return request(image=np.zeros((side, side, 3), np.uint8))


def admission(max_active: int = 8, memory_budget_mb: int = 512) -> Admission:
    return Admission(max_active, memory_budget_mb, EMBEDS_BYTES)


def test_places_are_bounded_and_half_of_them_stay_free_of_tiled_jobs() -> None:
    bounds = admission(max_active=4)
    assert bounds.fits(tiled(), [tiled()])
    assert not bounds.fits(tiled(), [tiled()] * 2)
    assert bounds.fits(small(), [tiled()] * 2)
    assert bounds.fits(small(), [small()] * 3)
    assert not bounds.fits(small(), [small()] * 4)


def test_tiled_jobs_share_the_memory_and_small_ones_never_wait_for_it() -> None:
    bounds = admission(memory_budget_mb=200)
    assert bounds.fits(tiled(1024), [small()] * 7)
    assert not bounds.fits(tiled(1024), [tiled(1024), tiled(1024)])
    assert bounds.fits(tiled(256), [tiled(1024)])
    assert bounds.fits(small(), [tiled(1024), tiled(1024)])


def test_what_never_fits_is_refused_with_the_reason() -> None:
    bounds = admission(memory_budget_mb=80)
    bounds.check_request(tiled(512))
    with pytest.raises(
        ImageTooLarge,
        match=r"The image is too large for this server: 1024 x 1024 pixels take 93 MB.*=80",
    ):
        bounds.check_request(tiled(1024))


def test_a_budget_too_small_for_small_images_stops_the_start() -> None:
    with pytest.raises(ValueError, match="MEMORY_BUDGET_MB=5: 8 images of one tile need 19"):
        admission(memory_budget_mb=5)


@pytest.mark.parametrize("changes", [{}, {"image": np.zeros((40, 300, 3), np.uint8)}])
def test_a_job_holds_no_more_than_was_planned(changes: dict[str, Any]) -> None:
    asked = request(**changes)
    it = job(**changes)
    tensors = [it.image, it.latents, it.noise_pred, it.latents, it.latents, it.prompt_embeds]
    tensors += [it.negative_prompt_embeds, *it._weights]
    held = asked.image.nbytes + sum(tensor.nbytes for tensor in tensors)
    assert held <= asked.memory_bytes
