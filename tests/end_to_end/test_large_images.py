"""Images of more than one tile, and images of odd shapes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from demo.pipeline import load_pipeline
from stages.limits import SCALE
from stages.tiles import MAX_TILE, OVERLAP, spans
from tests.end_to_end.test_ensemble import infer
from tests.end_to_end.test_parity import pipeline_of
from tests.photographs import file_of, photograph, pixels_of
from tests.server import Server

LARGE: dict[str, Any] = {"seed": 5, "num_inference_steps": 3}


def test_same_bytes_alone_and_among_others_and_by_the_ensemble(server: Server) -> None:
    image = photograph("astronaut", 210, 170)
    rows = server.counts("unet")[0]
    alone = server.upscale(file_of(image), **LARGE)
    assert server.counts("unet")[0] - rows == 2 * 2 * LARGE["num_inference_steps"] * 2  # guided
    sizes = ((64, 64), (128, 128), (300, 40), (128, 128), (210, 170))
    with ThreadPoolExecutor() as pool:
        others = [
            pool.submit(server.upscale, file_of(photograph("cat", *size)), num_inference_steps=4)
            for size in sizes
        ]
        among = pool.submit(server.upscale, file_of(image), **LARGE)
        assert among.result() == alone
        assert all(other.result() for other in others)
    result = infer(server, np.asarray(image), **LARGE).as_numpy("upscaled")
    assert np.array_equal(result, pixels_of(alone))


def test_tiles_of_one_image_share_calls(server: Server) -> None:
    before = [np.array(server.counts(engine)) for engine in ("unet", "vae_decoder")]
    server.upscale(file_of(photograph("rocket", 340, 230)), guidance_scale=1, **LARGE)
    after = [np.array(server.counts(engine)) for engine in ("unet", "vae_decoder")]
    unet, vae_decoder = (np.subtract(*pair).tolist() for pair in zip(after, before, strict=True))
    assert unet == [6 * LARGE["num_inference_steps"], LARGE["num_inference_steps"]]
    assert vae_decoder == [6, 2]  # four rows at most


def test_tiles_follow_the_setting(
    repositories: Callable[[str], Path], checkpoints: Callable[[str], Path]
) -> None:
    """An image of 176 x 168 in one piece is diffusers' picture, as no tiled one is."""
    image = photograph("cat", 176, 168)
    arguments = {"prompt": "a", "num_inference_steps": 3, "guidance_scale": 1.0, "noise_level": 20}
    output = pipeline_of(checkpoints("narrow"))(
        image=image, generator=torch.Generator().manual_seed(5), **arguments
    )
    fields = {"seed": 5, "safety_check": False, **arguments}
    with Server(repositories("narrow"), MAX_TILE="176", DECODER_MAX_TILE="176") as server:
        before = [server.counts(engine)[0] for engine in ("unet", "vae_decoder")]
        picture = pixels_of(server.upscale(file_of(image), **fields))
        after = [server.counts(engine)[0] for engine in ("unet", "vae_decoder")]
        size = {"width": 176, "height": 168, "num_inference_steps": 3, "guidance_scale": 1}
        estimate = httpx.post(f"{server.url}/estimate", json=size, trust_env=False).json()
    assert estimate["unet_rows"] == 3, "denoise tells the gateway"
    assert np.subtract(after, before).tolist() == [3, 1]
    assert np.abs(picture.astype(int) - np.asarray(output.images[0])).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (4000, 16), (8, 5000), (1, 2000), (129, 127)])
def test_odd_shapes_work(server: Server, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (90, 140, 60))
    picture = pixels_of(server.upscale(file_of(image), num_inference_steps=1, guidance_scale=1))
    assert picture.shape == (4 * size[1], 4 * size[0], 3)


@pytest.mark.parametrize("size", [(1025, 1024), (2, 1_000_000), (200_000, 8)])
def test_past_the_cap_the_answer_names_cap_and_size(server: Server, size: tuple[int, int]) -> None:
    response = server.post(file_of(Image.new("L", size)))
    assert response.status_code == 400
    message = response.json()["detail"]["msg"]
    assert f"{size[0]} x {size[1]} pixels" in message
    assert "at most 1048576 are allowed" in message


@pytest.mark.parametrize(
    ("name", "size", "steps"),
    [
        ("coffee", (200, 176), 8),
        pytest.param("astronaut", (512, 512), 20, marks=pytest.mark.long),
        pytest.param("coffee", (512, 512), 20, marks=pytest.mark.long),
        pytest.param("cat", (512, 512), 20, marks=pytest.mark.long),
    ],
)
def test_tiles_leave_no_seams(
    demo_server: Server, name: str, size: tuple[int, int], steps: int
) -> None:
    """The demo model's tiled picture against diffusers', which is made in one piece.

    A photograph has contrast at the borders of tiles too: tiles may not add to it.
    """
    image = photograph(name, *size)
    output = load_pipeline()(
        prompt="",
        image=image,
        num_inference_steps=steps,
        guidance_scale=1.0,
        noise_level=0,
        generator=torch.Generator().manual_seed(3),
    )
    whole = np.asarray(output.images[0])
    tiled = pixels_of(demo_server.upscale(file_of(image), seed=3, num_inference_steps=steps))
    error = np.square(tiled.astype(float) - whole).mean()
    assert 10 * np.log10(255**2 / error) > 38
    assert contrast_at_borders(tiled) / contrast_at_borders(whole) < 1.01


def contrast_at_borders(picture: NDArray[np.uint8]) -> float:
    """The mean difference of neighbours across the borders of tiles, of that elsewhere."""
    at_borders, elsewhere = [], []
    for pixels in (picture, picture.swapaxes(0, 1)):
        differences = np.abs(np.diff(pixels.astype(float), axis=0)).mean((1, 2))
        side = len(pixels) // SCALE
        # Of the UNet's tiles and of the decoder's.
        starts = [span.start for most in (MAX_TILE, 128) for span in spans(side, most)[1:]]
        # Where an overlap begins, has its middle and ends.
        lines = [SCALE * (at + i) - 1 for at in starts for i in (0, OVERLAP // 2, OVERLAP)]
        at_borders.append(differences[lines].mean())
        elsewhere.append(np.delete(differences, lines).mean())
    return float(np.mean(at_borders) / np.mean(elsewhere))


def test_what_never_fits_into_the_memory_budget_is_refused_with_the_reason(
    repositories: Callable[[str], Path],
) -> None:
    with Server(repositories("narrow"), MEMORY_BUDGET_MB="20") as small:
        response = small.post(file_of(Image.new("RGB", (512, 512))))
        assert response.status_code == 400
        message = response.json()["detail"]["msg"]
        assert message.startswith("The image is too large for this server: 512 x 512 pixels take")
        assert message.endswith("(MEMORY_BUDGET_MB=20).")
        assert small.upscale(file_of(photograph("cat", 168, 40)), num_inference_steps=1)


def test_a_memory_budget_that_cannot_be_used_stops_the_start_and_is_named(
    repositories: Callable[[str], Path],
) -> None:
    server = Server(repositories("narrow"), MEMORY_BUDGET_MB="lots")
    with pytest.raises(AssertionError, match="did not start"):
        server.start()
    assert server.stop() == 1
    assert "MEMORY_BUDGET_MB='lots': " in "".join(server.output)
