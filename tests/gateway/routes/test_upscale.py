"""Requests and answers in every form, over a Triton that is a class."""

import base64
import io
import json
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from httpx_sse import EventSource
from PIL import Image

from gateway.triton.client import Upscaled, UpscaleInputs
from gateway.triton.readiness import Readiness
from tests.gateway.test_app import IMAGE, SCHEDULERS, FakeTriton, post, run
from tests.photographs import file_of, photograph

FORM = "multipart/form-data"
BASE64 = base64.b64encode(IMAGE).decode()
BEYOND: dict[str, dict[str, Any]] = {
    "prompt is empty": {"prompt": ""},
    "seed past 64 bits": {"seed": 2**63},
    "seed is no number": {"seed": "seven"},
    "steps are no number": {"num_inference_steps": "many"},
    "too many steps": {"num_inference_steps": 1001},
    "a check that cannot be made": {"safety_check": "perhaps"},
    "no checker": {"safety_check": True},
    "guidance past its limit": {"guidance_scale": 101},
    "negative noise": {"noise_level": -1},
    "too much noise": {"noise_level": 351},
    "another model": {"model_id": "other"},
    "another format": {"output_format": "gif"},
    "another answer": {"response": "xml"},
    "another colour": {"color_fix": "adain"},
    "streams perhaps": {"stream": "perhaps"},
    "a long prompt": {"prompt": "x" * 10_001},
    "no image": {"image": b"text"},
    "an empty image": {"image": b""},
    "a large image": {"image": file_of(Image.new("L", (2000, 2000)))},
}


async def post_json(
    client: httpx.AsyncClient, accept: str = "*/*", **fields: Any
) -> httpx.Response:
    body = {"prompt": "x", "safety_check": False, "image": BASE64, **fields}
    return await client.post("/upscale", json=body, headers={"Accept": accept})


async def post_form(
    client: httpx.AsyncClient, image: bytes = IMAGE, **fields: Any
) -> httpx.Response:
    data = {name: str(value) for name, value in fields.items()}
    return await client.post(
        "/upscale",
        files={"image": image},
        data={"prompt": "x", "safety_check": "false", **data},
    )


def test_json_gives_what_the_form_gives() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        fields: dict[str, Any] = {
            "negative_prompt": "blur",
            "seed": -(2**63),
            "num_inference_steps": 3,
            "guidance_scale": 0.5,
            "noise_level": 7,
            "output_format": "webp",
        }
        form = await post_form(client, **fields)
        data_url = f"data:image/png;base64,{BASE64}"
        for image in (BASE64, data_url, data_url.replace(",", ",\r\n ")):
            answer = await post_json(client, image=image, **fields)
            assert (answer.status_code, answer.content) == (200, form.content)
        first, *others = [
            {**vars(inputs), "image": inputs.image.tobytes()} for inputs in triton.inputs[-4:]
        ]
        assert others == [first] * 3

    run(use)


@pytest.mark.parametrize("profile", ["livepeer", "http"])
@pytest.mark.parametrize("name", BEYOND)
def test_json_is_refused_as_the_form_is(profile: str, name: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        fields = BEYOND[name]
        in_json = dict(fields)
        if "image" in fields:
            in_json["image"] = base64.b64encode(fields["image"]).decode()
        expected, answer = await post_form(client, **fields), await post_json(client, **in_json)
        assert expected.status_code >= 400
        assert (answer.status_code, answer.json()) == (expected.status_code, expected.json())

    run(use, error_profile=profile)


@pytest.mark.parametrize("name", ["prompt", "image"])
def test_what_is_missing_is_named_as_in_a_form(name: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        body = {"prompt": "x", "image": BASE64}
        del body[name]
        answer = await client.post("/upscale", json=body)
        entry = {"loc": ["body", name], "msg": "Field required", "type": "missing"}
        assert (answer.status_code, answer.json()) == (422, {"detail": [entry]})

    run(use)


GOOD = json.dumps({"prompt": "x", "safety_check": False, "image": BASE64})
NOT_JSON = {
    "nothing": (b"", "is not JSON"),
    "text": (b"hello", "is not JSON"),
    "cut short": (GOOD[:-1].encode(), "is not JSON"),
    "UTF-16": (GOOD.encode("utf-16"), "not in UTF-8"),
    "Latin-1": (b'{"prompt": "\xe9"}', "not in UTF-8"),
    "NaN": (GOOD.replace("{", '{"guidance_scale": NaN, ', 1).encode(), "NaN is no number"),
    "Infinity": (b'{"seed": -Infinity}', "-Infinity is no number"),
    "a list": (b"[1]", "an object"),
    "a string": (b'"x"', "an object"),
    "a name twice": (GOOD.replace("{", '{"prompt": "y", ', 1).encode(), "'prompt' more than once"),
    "a name twice within": (b'{"prompt": {"a": 1, "a": 2}}', "'a' more than once"),
    "a lone surrogate": (rb'{"negative_prompt": "\ud800"}', "half of a surrogate pair"),
    "a lone surrogate in a name": (rb'{"\udfff": 1}', "half of a surrogate pair"),
    "many digits": (b'{"seed": %s}' % (b"9" * 10_000), "too many digits"),
    "nested deeply": (b'{"prompt": ' + b"[" * 15_000 + b"]" * 15_000 + b"}", "nested too deeply"),
    "nested more deeply": (b"[" * 100_000 + b"]" * 100_000, "too many parts"),
    "many parts": (b'{"prompt": [' + b"0," * 1_000_000 + b"0]}", "too many parts"),
}
NO_FIELDS = {
    "a number without end": (GOOD.replace("{", '{"guidance_scale": 1e999, ', 1), "guidance_scale"),
    "an integer without end": (GOOD.replace("{", '{"seed": 1e999, ', 1), "seed"),
    "an image that is a list": (GOOD.replace(f'"{BASE64}"', "[]"), "image"),
    "null": (GOOD.replace('"x"', "null"), "prompt"),
}
NO_BASE64 = [
    "!",
    "QQ=",
    "QQ==QQ==",
    BASE64[:-3],
    "é",
    "http://127.0.0.1/photo.png",
    "data:image/png;base64,!",
]


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_no_json_is_400_in_words(name: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        content, message = NOT_JSON[name]
        headers = {"Content-Type": "application/json; charset=utf-8"}
        answer = await client.post("/upscale", content=content, headers=headers)
        assert answer.status_code == 400
        assert message in answer.json()["detail"]["msg"]
        assert (await post_json(client)).status_code == 200

    run(use)


@pytest.mark.parametrize("name", NO_FIELDS)
def test_json_of_other_types_is_422(name: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        content, field = NO_FIELDS[name]
        headers = {"Content-Type": "Application/JSON"}
        answer = await client.post("/upscale", content=content, headers=headers)
        assert answer.status_code == 422
        [entry] = answer.json()["detail"]
        assert entry["loc"] == ["body", field]
        assert set(entry) == {"loc", "msg", "type"}

    run(use)


@pytest.mark.parametrize("text", NO_BASE64)
def test_base64_that_is_none_is_400_in_words(text: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        answer = await post_json(client, image=text)
        assert answer.status_code == 400
        assert "not base64" in answer.json()["detail"]["msg"]
        answer = await post_json(client, image="data:image/png,%89PNG")
        assert "not in base64" in answer.json()["detail"]["msg"]

    run(use)


def test_the_limit_counts_the_body_of_json_too() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        answer = await post_json(client, image="A" * 100_000)
        assert answer.status_code == 413
        assert "larger than 50000 bytes" in answer.json()["detail"]["msg"]
        assert (await post_json(client)).status_code == 200

    run(use, max_body_bytes=50_000, error_profile="http")


async def events_of(answer: httpx.Response) -> list[str]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]


def test_the_field_stream_asks_for_events() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        expected = ["accepted", "progress", "result"]
        steps: dict[str, Any] = {"num_inference_steps": 1}
        assert await events_of(await post_json(client, stream=True, **steps)) == expected
        assert await events_of(await post_form(client, stream=True, **steps)) == expected
        assert (
            await events_of(await post_json(client, "application/json", stream=True, **steps))
            == expected
        )
        answer = await post_form(client, stream=False)
        assert answer.headers["content-type"] == "application/json"

    run(use)


def test_events_may_bring_the_file_in_lines_that_every_client_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiohttp, and so the SDK of Live Runners, takes no line over 128 KiB."""
    noise = base64.b64encode(file_of(Image.effect_noise((100, 100), 100))).decode()

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        fields: dict[str, Any] = {
            "image": noise,
            "seed": 7,
            "response": "image",
            "output_format": "png",
        }
        answer = await post_json(client, stream=True, num_inference_steps=1, **fields)
        assert await events_of(answer) == ["accepted", "progress", "image", "result"]
        events = {sent.event: sent.data async for sent in EventSource(answer).aiter_sse()}
        said = {"media_type": "image/png", "seed": 7, "nsfw": True}
        answered = json.loads(events["result"])
        assert 0 < answered.pop("distance") < 255
        assert answered == said
        file = base64.b64decode(events["image"])
        assert file == (await post_json(client, **fields)).content
        assert len(max(answer.text.split("\n"), key=len)) < 2**17

    async def upscale_to_noise(self: FakeTriton, inputs: UpscaleInputs, *rest: Any) -> Upscaled:
        shape = tuple(4 * side for side in inputs.image.shape[:2])
        picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
        return replace(await upscale(self, inputs, *rest), image=picture)

    upscale = FakeTriton.upscale
    monkeypatch.setattr(FakeTriton, "upscale", upscale_to_noise)  # which no file makes small
    run(use)


@pytest.mark.parametrize(
    ("accept", "fields", "kind"),
    [
        ("image/png", {}, "PNG"),
        ("image/jpeg", {}, "JPEG"),
        ("image/webp;q=0.9, application/json;q=0.1", {}, "WEBP"),
        ("image/*", {}, "PNG"),
        ("image/*", {"output_format": "webp"}, "WEBP"),
        ("image/jpeg", {"output_format": "webp"}, "JPEG"),
        ("*/*", {"response": "image"}, "PNG"),
        ("application/json", {"response": "image", "output_format": "jpeg"}, "JPEG"),
    ],
)
def test_the_file_itself(accept: str, fields: dict[str, str], kind: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        for answer in (
            await post(client, accept, seed="7", **fields),
            await post_json(client, accept, seed=7, **fields),
        ):
            assert answer.headers["content-type"] == f"image/{kind.lower()}"
            assert (answer.headers["upscale-seed"], answer.headers["upscale-nsfw"]) == ("7", "true")
            picture = Image.open(io.BytesIO(answer.content))
            assert (picture.format, picture.size) == (kind, (32, 32))
            if kind != "JPEG":
                inline = await post(client, seed="7", output_format=kind.lower())
                assert base64.b64encode(answer.content) in inline.content

    run(use)


def test_every_answer_tells_the_distance_and_a_color_fix_lessens_it() -> None:
    """The fake answers with black, whatever the image is."""

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        told = {}
        for color_fix in ("none", "wavelet"):
            fields = {"seed": "7", "num_inference_steps": "1", "color_fix": color_fix}
            answer = await post(client, **fields)
            told[color_fix] = float(answer.headers["upscale-distance"])
            assert set(answer.json()) == {"images"}, "the contract's"
            assert (await post(client, "image/png", **fields)).headers["upscale-distance"] == str(
                told[color_fix]
            )
            as_events = await post(client, "text/event-stream", **fields)
            *_, last = [sent async for sent in EventSource(as_events).aiter_sse()]
            assert last.json()["distance"] == told[color_fix]
            assert last.json()["images"] == answer.json()["images"]
        mean = np.asarray(photograph("cat", 8, 8)).mean()
        assert told["none"] == pytest.approx(mean, abs=0.01)
        assert told["wavelet"] < told["none"] / 4
        assert (await post(client)).json() != answer.json()

    run(use)


def test_what_a_format_cannot_hold_is_refused_for_the_format_that_is_answered() -> None:
    long = base64.b64encode(file_of(Image.new("L", (5000, 8)))).decode()

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        answer = await post_json(client, "image/webp", image=long)
        assert answer.status_code == 400
        assert "a side of a webp file" in answer.json()["detail"]["msg"]

    run(use)


def test_errors_are_json_whatever_is_accepted() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        answer = await post_json(client, "image/png", image="QQ==")
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")

    run(use)


@pytest.mark.parametrize(
    "disposition",
    [
        "name=\"image\"; filename*=utf-8''%E7%8C%AB.png\r\nContent-Type: image/png",
        'name="image"\r\nContent-Type: image/png',
        'name="image"',
        'name=image; filename=""',
    ],
)
def test_the_part_image_is_a_file_however_it_is_named(disposition: str) -> None:
    large = file_of(
        Image.effect_noise((800, 700), 100).convert("RGB"), "BMP"
    )  # a field may have 1 MB
    assert len(large) > 2**20

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        head = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
        rest = "".join(
            f'\r\n--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'
            for name, value in {"prompt": "x", "safety_check": "false"}.items()
        )
        headers = {"Content-Type": f"{FORM}; boundary=b"}
        content = head + large + rest.encode() + b"\r\n--b--\r\n"
        answer = await client.post("/upscale", content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        assert triton.inputs[-1].image.shape == (700, 800, 3)

    run(use)


@pytest.mark.parametrize("answer_with", ["json", "image", "stream"])
def test_a_check_that_is_skipped_is_named(answer_with: str) -> None:
    fields: dict[str, Any] = (
        {"stream": True} if answer_with == "stream" else {"response": answer_with}
    )

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        answer = await post_json(client, safety_check=True, **fields)
        assert answer.status_code == 200
        assert answer.headers["upscale-safety-check"] == "skipped"
        assert triton.inputs[-1].safety_check is False
        answer = await post_json(client, **fields)
        assert "upscale-safety-check" not in answer.headers

    run(use, safety_check="skip")


RGBA = np.zeros((8, 12, 4), np.uint8)
RGBA[:, :6] = (200, 40, 90, 255)


@pytest.mark.parametrize(
    ("kind", "fields", "mode"),
    [
        ("png", {}, "RGBA"),
        ("webp", {}, "RGBA"),
        ("jpeg", {}, "RGB"),
        ("png", {"background": "#ffffff"}, "RGB"),
    ],
)
def test_transparency_is_kept_and_the_model_sees_none_of_what_it_hides(
    kind: str, fields: dict[str, str], mode: str
) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        answer = await client.post(
            "/upscale",
            files={"image": file_of(Image.fromarray(RGBA))},
            data={"prompt": "x", "safety_check": "false", **fields},
            headers={"Accept": f"image/{kind}"},
        )
        picture = Image.open(io.BytesIO(answer.content))
        assert (picture.mode, picture.size) == (mode, (48, 32))
        behind = (200, 40, 90) if mode == "RGBA" else (255, 255, 255)
        assert (triton.inputs[-1].image[:, 6:] == behind).all()

    run(use)


def test_sizes_and_fit() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        image = file_of(Image.new("RGB", (64, 32)))

        async def asked(**fields: str) -> httpx.Response:
            data = {"prompt": "x", "safety_check": "false", "response": "image", **fields}
            return await client.post("/upscale", files={"image": image}, data=data)

        def size_of(answer: httpx.Response) -> tuple[int, int]:
            assert answer.status_code == 200, answer.text
            return Image.open(io.BytesIO(answer.content)).size

        assert "at most 512 are allowed" in (await asked()).json()["detail"]["msg"]
        assert size_of(await asked(fit="true")) == (128, 64)
        assert triton.inputs[-1].image.shape == (16, 32, 3)
        assert size_of(await asked(fit="true", scale="1.5")) == (48, 24)
        assert size_of(await asked(fit="true", width="100", height="10")) == (20, 10)
        refused = await asked(fit="true", width="129")
        assert refused.status_code == 400
        assert "width is 129" in refused.json()["detail"]["msg"]
        nonetheless = await client.post(
            "/upscale",
            files={"image": file_of(Image.new("RGB", (64, 33)))},
            data={"prompt": "x", "safety_check": "false", "fit": "true"},
        )
        assert "at most 2048" in nonetheless.json()["detail"]["msg"]

    run(use, max_input_pixels=512, max_fit_pixels=2048)


def test_fit_counts_the_memory_of_the_scheduler() -> None:
    """A picture that looks back on earlier steps takes more of the budget, so it gets smaller."""

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        image = file_of(Image.new("RGB", (1000, 500)))
        pixels = []
        for scheduler in SCHEDULERS.names:  # the second looks back
            data = {"prompt": "x", "safety_check": "false", "fit": "true", "scheduler": scheduler}
            answer = await client.post("/upscale", files={"image": image}, data=data)
            assert answer.status_code == 200, answer.text
            pixels.append(triton.inputs[-1].image.size)
        assert pixels[0] > pixels[1]

    run(use, memory_budget_mb=40)
