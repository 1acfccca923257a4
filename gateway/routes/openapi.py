"""The served OpenAPI document, word for word the contract's where the contract speaks."""

from typing import Any

from fastapi import FastAPI

from gateway.http.json_body import MEDIA_TYPE as JSON
from gateway.routes.form import MAX_SEED, MIN_SEED, UpscaleForm, UpscaleJson

BODY = "Body_genUpscale"  # as FastAPI calls the fields of a form that are arguments of a function
SCHEMAS = "#/components/schemas/"
# The smallest PNG of 8 x 8 pixels, so that the document's example makes a picture.
GREY = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR42mNs"
    "YIAAJgaKGAAmCACQtTEKkQAAAABJRU5ErkJggg=="
)
EXAMPLE = {"image": GREY, "prompt": "a photo", "num_inference_steps": 20, "seed": 0}
AS_WEBP = {"scale": 2, "output_format": "webp", "response": "image"}


def follow_contract(app: FastAPI) -> None:
    """Write a few schemas as ai-runner's OpenAPI does; FastAPI has newer words for the same."""
    document = app.openapi()
    schemas = document["components"]["schemas"]
    post = document["paths"]["/upscale"]["post"]
    schemas[BODY] = schemas.pop(UpscaleForm.__name__) | {"title": BODY}
    del schemas[BODY]["description"]  # the class's docstring
    post["requestBody"]["content"]["multipart/form-data"]["schema"] = {"$ref": f"{SCHEMAS}{BODY}"}
    body: dict[str, Any] = schemas[BODY]["properties"]
    image = body["image"]
    image["format"] = "binary"
    del image["contentMediaType"]
    for field in body.values():  # a form leaves a field out where JSON says null
        if "anyOf" in field:
            field.update(next(kind for kind in field.pop("anyOf") if kind["type"] != "null"))
    # FastAPI makes floats of bounds, and no float is as near to 2^63 as the largest seed.
    body["seed"].update(minimum=MIN_SEED, maximum=MAX_SEED)
    schemas[UpscaleJson.__name__] = UpscaleJson.model_json_schema()
    json_seed = schemas[UpscaleJson.__name__]["properties"]["seed"]["anyOf"][0]
    json_seed.update(minimum=MIN_SEED, maximum=MAX_SEED)
    post["requestBody"]["content"][JSON] = {
        "schema": {"$ref": f"{SCHEMAS}{UpscaleJson.__name__}"},
        "examples": {
            "smallest": {"summary": "8 x 8 grey pixels", "value": EXAMPLE},
            "smaller": {"summary": "twice as large, as WebP", "value": {**EXAMPLE, **AS_WEBP}},
        },
    }
    detail = schemas["HTTPError"]["properties"]["detail"]
    detail["allOf"] = [{"$ref": detail.pop("$ref")}]
    answer = post["responses"]["200"]
    answer["content"]["application/json"]["schema"]["x-speakeasy-name-override"] = "data"
    document["security"] = []
