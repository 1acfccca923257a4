"""The JSON of the contract: ai-runner's models, by their names."""

from typing import Annotated

from pydantic import BaseModel, Field


class Media(BaseModel):
    """A media object containing information about the generated media."""

    url: Annotated[str, Field(description="The URL where the media can be accessed.")]
    seed: Annotated[int, Field(description="The seed used to generate the media.")]
    nsfw: Annotated[bool, Field(description="Whether the media was flagged as NSFW.")]


class ImageResponse(BaseModel):
    """Response model for image generation."""

    images: Annotated[list[Media], Field(description="The generated images.")]


class APIError(BaseModel):
    """API error response model."""

    msg: Annotated[str, Field(description="The error message.")]


class HTTPError(BaseModel):
    """HTTP error response model."""

    detail: Annotated[APIError, Field(description="Detailed error information.")]


class Health(BaseModel):
    """ai-runner's answer to `GET /health`."""

    status: Annotated[str, Field(description="LOADING, OK, ERROR or IDLE.")]
    stage: Annotated[str | None, Field(description="What goes on, with LOADING only.")] = None


class Model(BaseModel):
    """What is served, what it does where a request leaves a field out, and what it takes."""

    model_id: str
    num_inference_steps: int
    guidance_scale: float
    noise_level: int
    max_noise_level: int
    has_safety_checker: bool
    prompt_has_effect: Annotated[
        bool, Field(description="False for a model that was not trained on captions.")
    ]
    schedulers: Annotated[
        list[str], Field(description="That a request may name; the first is the default.")
    ]
    has_step_cache: Annotated[
        bool, Field(description="Whether a request may have a step_cache above 1.")
    ] = False  # as of servers of before there was one; so below
    step_cache: Annotated[int, Field(description="Of a request without one; 1 is off.")] = 1
    input_formats: Annotated[list[str], Field(description="Of images, told by their content.")]
    max_input_pixels: Annotated[int, Field(description="Largest image, width times height.")]
    max_fit_pixels: Annotated[int, Field(description="Largest image that fit reduces to that.")]
    max_body_bytes: Annotated[int, Field(description="Largest request.")]
    max_in_progress: Annotated[int, Field(description="Requests that are worked on at a time.")]
    max_waiting: Annotated[int, Field(description="Requests that may wait besides.")]


class Estimate(BaseModel):
    """What a picture will cost, were it sent now."""

    accepted: Annotated[bool, Field(description="Whether the request would be taken.")]
    reason: Annotated[str | None, Field(description="Why it would not.")]
    unet_rows: Annotated[int, Field(description="Rows of the UNet, of tile_pixels each.")]
    shallow_rows: Annotated[
        int, Field(description="Of these, those of its outermost blocks alone, by step_cache.")
    ] = 0
    tiles: Annotated[int, Field(description="Windows that its latents are worked on in.")]
    tile_pixels: Annotated[int, Field(description="Latent pixels of a tile.")]
    memory_bytes: Annotated[int, Field(description="What it takes of MEMORY_BUDGET_MB.")]
    seconds: Annotated[
        float | None,
        Field(
            description="From now to the picture, behind those that are here; null before the"
            " first picture."
        ),
    ]
    output_width: Annotated[int, Field(description="Pixels.")]
    output_height: Annotated[int, Field(description="Pixels.")]


class Version(BaseModel):
    """ai-runner's answer to `GET /version`."""

    pipeline: str
    model_id: str
    version: Annotated[str, Field(description="Of this server, as in semver.org.")]
