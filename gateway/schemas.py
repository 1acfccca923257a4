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
    max_input_pixels: Annotated[int, Field(description="Largest image, width times height.")]
    max_body_bytes: Annotated[int, Field(description="Largest request.")]


class Version(BaseModel):
    """ai-runner's answer to `GET /version`."""

    pipeline: str
    model_id: str
    version: Annotated[str, Field(description="Of this server, as in semver.org.")]
