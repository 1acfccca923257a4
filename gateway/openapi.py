"""The served OpenAPI document, word for word the contract's where the contract speaks."""

from typing import Any

from fastapi import FastAPI


def follow_contract(app: FastAPI) -> None:
    """Write a few schemas as ai-runner's OpenAPI does; FastAPI has newer words for the same."""
    document = app.openapi()
    schemas = document["components"]["schemas"]
    body: dict[str, Any] = schemas["Body_genUpscale"]["properties"]
    image, seed = body["image"], body["seed"]
    image["format"] = "binary"
    del image["contentMediaType"]
    seed.update(next(kind for kind in seed.pop("anyOf") if kind["type"] == "integer"))
    detail = schemas["HTTPError"]["properties"]["detail"]
    detail["allOf"] = [{"$ref": detail.pop("$ref")}]
    answer = document["paths"]["/upscale"]["post"]["responses"]["200"]
    answer["content"]["application/json"]["schema"]["x-speakeasy-name-override"] = "data"
    document["security"] = []
