"""What Triton serves, as the export told it."""

from dataclasses import dataclass

from stages.schedulers import DDIM, Schedulers, read_schedulers
from stages.step_cache import StepCache, read_step_cache

ONLY_DDIM = Schedulers((DDIM,))


@dataclass(frozen=True)
class ServedModel:
    """What the export wrote into the configuration of `upscale`."""

    model_id: str
    num_inference_steps: int
    guidance_scale: float
    noise_level: int
    max_noise_level: int
    has_safety_checker: bool
    prompt_has_effect: bool
    schedulers: Schedulers = ONLY_DDIM
    step_cache: StepCache | None = None


@dataclass(frozen=True)
class DenoiseLimits:
    """Of the stage denoise. max_active: jobs. prompt_embeds: shape of those of one prompt."""

    max_active: int
    prompt_embeds: tuple[int, ...]


def served_model_of(values: dict[str, str]) -> ServedModel:
    """Of the parameters of `upscale`. Raises KeyError or ValueError for another's."""
    return ServedModel(
        model_id=values["model_id"],
        num_inference_steps=int(values["num_inference_steps"]),
        guidance_scale=float(values["guidance_scale"]),
        noise_level=int(values["noise_level"]),
        max_noise_level=int(values["max_noise_level"]),
        has_safety_checker=values["safety_checker"] != "none",
        # Repositories that were exported before there were such models do not say.
        prompt_has_effect=values.get("prompt_has_effect", "True") == "True",
        schedulers=read_schedulers(values["schedulers"]) if "schedulers" in values else ONLY_DDIM,
        step_cache=read_step_cache(values.get("step_cache")),
    )
