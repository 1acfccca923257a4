"""The JSON of an answer, whole and in pieces."""

import asyncio

import pytest

from gateway.images.data_url import DataUrl
from gateway.routes.answer import UpscaleAnswer
from gateway.schemas import ImageResponse, Media

URLS = [
    DataUrl(bytes(1_000_000), "png"),
    DataUrl(b"", "png"),
    'http://gateway/media/"x\u00e9".png?signature=a',
    "",
]


@pytest.mark.parametrize("url", URLS)
def test_the_pieces_are_the_contracts_json(url: str | DataUrl) -> None:
    async def joined(answer: UpscaleAnswer) -> bytes:
        return b"".join([piece async for piece in answer.pieces()])

    media = Media(url=str(url), seed=-7, nsfw=True)
    expected = ImageResponse(images=[media]).model_dump_json().encode()
    answer = UpscaleAnswer(url, -7, nsfw=True, distance=1.5)
    assert asyncio.run(joined(answer)) == expected
    assert len(answer) == len(expected)
    assert answer.response().headers["content-length"] == str(len(expected))


def test_others_have_their_turns_while_a_large_answer_is_made() -> None:
    async def main() -> None:
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count_turns())
        answer = UpscaleAnswer(DataUrl(bytes(36_000_000), "png"), 0, nsfw=False, distance=1.5)
        async for _ in answer.pieces():
            pass
        counting.cancel()
        assert turns > 100

    asyncio.run(main())
