"""`runners.json` of a Livepeer orchestrator, which names this server as a Live Runner.

go-livepeer 0.9, doc/live-runner.md. It takes the whole file or nothing of it, so what it would
refuse is refused here.
"""

import json
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, model_validator

from gateway.schemas import Model, Version
from stages.limits import MAX_INFERENCE_STEPS, SCALE

MAX_METADATA_BYTES = 1024
MEBIBYTE = 2**20


def _trimmed(value: str) -> str:
    if not value or value != value.strip():
        raise ValueError("it must not be empty, and have no space at an end")
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in value:
        raise ValueError("it must be a URL that begins with http:// or https:// and has a host")
    return value


def _short(value: str) -> str:
    if len(value.encode()) > MAX_METADATA_BYTES:
        raise ValueError(
            f"it has {len(value.encode())} bytes of UTF-8; {MAX_METADATA_BYTES} are allowed"
        )
    return value


Trimmed = Annotated[str, AfterValidator(_trimmed)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]


class Gpu(BaseModel):
    """One GPU. vram_mb: mebibytes."""

    id: str
    name: str
    vram_mb: Annotated[int, Field(ge=0)]


class PriceInfo(BaseModel):
    """What a unit costs; `fixed` is a picture, paid before it is made."""

    price: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    currency: Literal["usd"] = "usd"
    unit: Literal["fixed", "hour", "720p"] = "fixed"


class Runner(BaseModel):
    """One entry of the file."""

    label: Trimmed
    routing: Literal["label", "runner-id"] = "label"
    proxy: bool = False
    runner_url: HttpUrl
    health_url: HttpUrl
    healthy_status_code: Annotated[int, Field(ge=100, le=599)] = 200
    app: Trimmed
    version: str
    metadata: Annotated[str, AfterValidator(_short)]
    mode: Literal["single-shot", "persistent"] = "single-shot"
    capacity: Annotated[int, Field(ge=1)]
    gpu: Gpu | None = None
    price_info: PriceInfo

    @model_validator(mode="after")
    def _can_be_routed(self) -> "Runner":
        if self.routing == "label" and "/" in self.label:
            raise ValueError("label must have no / when routing is label")
        return self


class Runners(BaseModel):
    """The file."""

    runners: list[Runner]

    @model_validator(mode="after")
    def _labels_are_unique(self) -> "Runners":
        labels = [runner.label for runner in self.runners]
        if len(set(labels)) < len(labels):
            raise ValueError("every label must be there once")
        return self

    def text(self) -> str:
        """The file's text."""
        return self.model_dump_json(indent=2, exclude_none=True)


def metadata_of(model: Model, max_pixels: int, price: PriceInfo) -> str:
    """What a client reads before it pays, JSON: what will be accepted, and for how much.

    max_pixels: width times height of the largest image that the server has memory for.
    """
    units = {"fixed": "a picture, whatever its size", "hour": "an hour", "720p": "for 720p"}
    described = {
        "model": model.model_id,
        "scale": SCALE,
        "input_formats": model.input_formats,
        "max_input_pixels": max_pixels,
        "max_body_bytes": model.max_body_bytes,
        "max_steps": MAX_INFERENCE_STEPS,
        "default_steps": model.num_inference_steps,
        "safety_checker": model.has_safety_checker,
        "price": f"{price.price:g} {price.currency} {units[price.unit]}",
    }
    return json.dumps(described, separators=(",", ":"), ensure_ascii=False)


def gpu_of(gpu_info: dict[str, dict[str, Any]]) -> Gpu | None:
    """The first of those of `GET /hardware/info`; None without one."""
    for gpu in gpu_info.values():
        return Gpu(id=gpu["id"], name=gpu["name"], vram_mb=gpu.get("memory_total", 0) // MEBIBYTE)
    return None


def check_capacity(capacity: int, model: Model) -> None:
    """Raises ValueError for more sessions than the server takes requests."""
    most = model.max_in_progress + model.max_waiting
    if not 1 <= capacity <= most:
        raise ValueError(
            f"capacity is {capacity}; this server takes from 1 to {most} requests at a time"
            f" (MAX_IN_PROGRESS={model.max_in_progress}, MAX_WAITING={model.max_waiting})."
        )


def runner_of(
    url: str,
    label: str,
    model: Model,
    version: Version,
    gpu: Gpu | None,
    max_pixels: int,
    capacity: int | None,
    price: PriceInfo,
) -> Runner:
    """The entry of a server. url: its address as the orchestrator has it, no path.

    Sessions lead to /upscale at once, so that who calls what discovery shows gets a picture.
    Raises ValueError, pydantic's too, for what go-livepeer or the server would refuse.
    """
    capacity = model.max_in_progress if capacity is None else capacity
    check_capacity(capacity, model)
    base = url.rstrip("/")
    return Runner(
        label=label,
        runner_url=f"{base}/upscale",
        health_url=f"{base}/health",
        app=f"{version.pipeline}/{model.model_id}",
        version=version.version,
        metadata=metadata_of(model, max_pixels, price),
        capacity=capacity,
        gpu=gpu,
        price_info=price,
    )
