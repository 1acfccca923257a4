"""The same request gives the same bytes, whoever else is served."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.photographs import NAMES, file_of, photograph
from tests.server import Server

SIZES = ((64, 64), (64, 64), (32, 64), (97, 61), (64, 64), (40, 40), (64, 64))


def test_same_bytes_alone_and_among_seven_others(server: Server) -> None:
    image = file_of(photograph("astronaut", 64, 64))
    fields: dict[str, Any] = {"seed": 0, "num_inference_steps": 20}
    alone = server.upscale(image, **fields)
    calls = server.counts("unet")[1]
    with ThreadPoolExecutor() as pool:
        others = [
            pool.submit(
                server.upscale,
                file_of(photograph(NAMES[index % 4], *size)),
                num_inference_steps=15 + 5 * index,
                guidance_scale=1 + 4 * (index % 2),
            )
            for index, size in enumerate(SIZES)
        ]
        among = [pool.submit(server.upscale, image, **fields) for _ in range(2)]
        assert [request.result() for request in among] == [alone, alone]
        steps = 2 * 20 + sum(15 + 5 * index for index in range(len(SIZES)))
        assert all(request.result() for request in others)
    # They did share calls: fewer were made than one a step.
    assert server.counts("unet")[1] - calls < steps


def test_seeds_differ_and_come_back(server: Server) -> None:
    image = file_of(photograph("coffee", 32, 32))
    pictures = {}
    # torch's CPU generator looks at the low 32 bits of a seed, and so does diffusers through it.
    for seed in (0, 1, -1, 2**63 - 2, -(2**63) + 2):
        response = server.post(image, seed=seed, num_inference_steps=3)
        assert response.json()["images"][0]["seed"] == seed
        pictures[seed] = response.json()["images"][0]["url"]
    assert len(set(pictures.values())) == len(pictures)


def test_without_a_seed_a_random_one_is_used_and_told(server: Server) -> None:
    image = file_of(photograph("coffee", 32, 32))
    first, second = (server.post(image, num_inference_steps=3).json()["images"][0] for _ in "ab")
    assert first["seed"] != second["seed"]
    assert 0 <= first["seed"] < 2**32
    again = server.post(image, num_inference_steps=3, seed=first["seed"]).json()["images"][0]
    assert again == first
