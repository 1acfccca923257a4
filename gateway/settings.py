"""Everything that can be set, from the environment; defaults live nowhere else."""

from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.http.error_answers import ErrorProfile
from stages.limits import MAX_INFERENCE_STEPS

LAST_PORT = 65535


class ConfigurationError(Exception):
    """A setting that cannot be used; the message names key and value."""


class SafetyCheck(StrEnum):
    """What becomes of requests for a check where the served model has no safety checker."""

    REFUSE = "refuse"
    SKIP = "skip"


class Settings(BaseSettings):
    """Read once at the start; each field is the environment variable of its name in capitals."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    port: int = Field(8000, ge=0, le=LAST_PORT, description="Port that the gateway listens on.")
    triton_url: str = Field(
        "127.0.0.1:8001",
        pattern=r"^[^/\s]+:[0-9]{1,5}$",
        description="Triton's gRPC, host:port; a name may stand for many. Not for `upscale serve`.",
    )
    auth_token: SecretStr | None = Field(
        None, description="Bearer token that /upscale asks for; unset, it asks for none."
    )
    max_body_bytes: int = Field(10_000_000, gt=0, description="Largest request body, bytes.")
    max_input_pixels: int = Field(
        1024 * 1024,
        gt=0,
        description="Largest input image, width times height, pixels; a side counts as 8 at least.",
    )
    max_fit_pixels: int = Field(
        25_000_000,
        gt=0,
        description="Largest image that the field fit reduces to what is taken, width times height,"
        " pixels.",
    )
    memory_budget_mb: int = Field(
        512,
        gt=0,
        description="Triton's, which reads it itself: latents, images and tiles of the requests"
        " that step, 10^6 bytes.",
    )
    max_prompt_chars: int = Field(
        10_000, gt=0, description="Longest prompt and longest negative prompt, characters."
    )
    max_in_progress: int = Field(
        8, gt=0, description="Requests that Triton works on at a time; the others wait."
    )
    max_waiting: int = Field(
        56, ge=0, description="Requests that may wait; one more is refused as busy."
    )
    upload_timeout_s: float = Field(
        30.0, gt=0, description="Longest time for a request's body to arrive, seconds."
    )
    client_timeout_s: float = Field(
        60.0,
        gt=0,
        description="Longest time for a request's head to arrive, and without any of its answer"
        " being read, seconds.",
    )
    keep_alive_s: float = Field(
        # Longer than proxies and pools keep a connection (nginx, load balancers: 60 s), so that it
        # is they who close it: one that we close may just have been sent the next request.
        75.0,
        gt=0,
        description="How long a connection without a request stays open, seconds.",
    )
    request_timeout_s: float = Field(
        280.0, gt=0, description="Longest time for one request, seconds."
    )
    health_interval_s: float = Field(
        3.0,
        gt=0,
        description="Without a picture for so long, /health's is tried, seconds.",
    )
    preview_every: int = Field(
        4, ge=0, description="Steps of a watched request from one preview to the next; 0 for none."
    )
    step_cache: int = Field(
        1,
        ge=1,
        le=MAX_INFERENCE_STEPS,
        description="The field step_cache of requests without one, where the model has a step"
        " cache; 1 is off.",
    )
    media: str = Field(
        "inline",
        pattern="^(inline|local|s3://[^/?#]+(/[^?#]*)?)$",
        description="Where results go: into the answer, into MEDIA_DIR or into a bucket.",
    )
    media_dir: Path = Field(Path("media"), description="Folder for MEDIA=local.")
    media_ttl_s: int = Field(
        3600,
        gt=0,
        le=7 * 24 * 3600,  # S3 signs for no longer
        description="How long links to results are valid, seconds.",
    )
    media_url: str | None = Field(
        None,
        pattern="^https?://[^/?#]+(/[^?#]*)?$",
        description="Base of the links of MEDIA=local; unset, where the caller reached the server.",
    )
    media_key: SecretStr | None = Field(
        None,
        description="Signs the links of MEDIA=local; unset, random at every start.",
    )
    aws_endpoint_url: str | None = Field(
        None,
        pattern="^https?://[^/?#]+(/[^?#]*)?$",
        description="Base URL of the bucket's server for MEDIA=s3://; unset, Amazon's.",
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        pattern="^https?://[^/?#]+(/[^?#]*)?$",
        description="Base URL of the collector of traces, OTLP over HTTP; unset, none are made.",
    )
    cors_origins: str | None = Field(
        None,
        pattern=r"^(\*|https?://[^/?#,\s]+(,https?://[^/?#,\s]+)*)$",
        description="Origins whose web pages may send requests, separated by commas, or *.",
    )
    safety_check: SafetyCheck = Field(
        SafetyCheck.REFUSE,
        description="Where the served model has no safety checker: refuse requests that ask for the"
        " check, or skip it.",
    )
    error_profile: ErrorProfile = Field(
        ErrorProfile.LIVEPEER,
        description="Statuses of errors: livepeer (those of the contract) or http (all of HTTP's).",
    )

    @field_validator("host", "triton_url")
    @classmethod
    def _has_a_name_that_can_be_looked_up(cls, value: str) -> str:
        try:
            value.encode("idna")  # as a look-up does it
        except UnicodeError as error:
            raise ValueError("a part of the name between two dots is empty or too long") from error
        return value

    @field_validator("triton_url")
    @classmethod
    def _has_a_port(cls, value: str) -> str:
        if not 0 < int(value.rpartition(":")[2]) <= LAST_PORT:
            raise ValueError(f"the port must be from 1 to {LAST_PORT}")
        return value

    @classmethod
    def from_environment(cls, **overrides: Any) -> Self:
        """Raises ConfigurationError with a sentence for every setting that is wrong."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise ConfigurationError(
                " ".join(
                    f"{'_'.join(map(str, e['loc'])).upper()}={e['input']!r}: {e['msg']}."
                    for e in error.errors()
                )
            ) from error
