"""The fields of one request beside the image."""

from dataclasses import asdict, dataclass

from client.output_format import OutputFormat


@dataclass(frozen=True)
class Form:
    """The API's fields by their names; None leaves the choice to the server."""

    prompt: str
    negative_prompt: str | None = None
    seed: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    noise_level: int | None = None
    safety_check: bool | None = None
    model_id: str | None = None
    output_format: OutputFormat = OutputFormat.PNG

    @property
    def given(self) -> dict[str, str | int | float | bool]:
        """What is sent."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def is_repeatable(self) -> bool:
        """The same request gives the same picture again."""
        return self.seed is not None
