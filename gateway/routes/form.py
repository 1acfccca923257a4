"""The fields of a request to /upscale: the one description of them, their limits and defaults.

A form and JSON share it. Limits that hold for every model are in the served document and answered
422; what the served model or the settings decide is checked with `check_against`, and answered 400.
"""

import secrets
from typing import Annotated, Literal

import numpy as np
from fastapi import File, UploadFile
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from gateway.errors import InvalidRequest
from gateway.http.json_body import fields_of_json, validated
from gateway.images.color_fix import ColorFix
from gateway.images.write import OutputFormat
from gateway.routes.defaults import check_steps, filled_in, interval_of, scheduler_of
from gateway.settings import SafetyCheck
from gateway.triton.client import UpscaleInputs
from gateway.triton.served_model import ServedModel
from stages.errors import NoSafetyChecker
from stages.limits import DEFAULT_INFERENCE_STEPS, MAX_INFERENCE_STEPS, SCALE
from stages.schedulers import NAMES as SCHEDULERS

MARKS_BESIDE_PROMPTS = 1000  # commas and brackets of a JSON body
MIN_SEED, MAX_SEED = -(2**63), 2**63 - 1  # int64


Steps = Annotated[
    int,
    Field(
        description="Number of denoising steps. More steps usually lead to higher quality"
        " images but slower inference. Modulated by strength.",
        json_schema_extra={"maximum": MAX_INFERENCE_STEPS},  # past it, a 400
    ),
]
GuidanceScale = Annotated[
    float | None,
    Field(
        description="How strongly the prompt guides; 1 and below turn guidance off."
        " Unset, the model's default.",
        ge=0,
        le=100,
        allow_inf_nan=False,
    ),
]
SchedulerName = Annotated[
    str,
    Field(
        description="Scheduler that steps from noise to the picture, by diffusers' class name"
        ' without "Scheduler"; GET /model has those of the served model. Empty, the model\'s own.',
        # Another one is a 400, as the served model decides.
        json_schema_extra={"enum": ["", *SCHEDULERS]},
    ),
]
StepCacheInterval = Annotated[
    int | None,
    Field(
        description="Calls of the whole UNet are so many steps apart; those between reuse what its"
        " deep part made. Faster, and another picture; 1 is off. Unset, the server's default. For"
        " models that GET /model says has_step_cache of.",
        # Another one is a 400, as the served model decides.
        json_schema_extra={"minimum": 1, "maximum": MAX_INFERENCE_STEPS},
    ),
]
ResultFormat = Annotated[
    OutputFormat, Field(description="File format of the result; png loses nothing.")
]


Fit = Annotated[
    bool,
    Field(description="Reduce an image that is too large to what the server takes, first."),
]


class UpscaleFields(BaseModel):
    """All but the image. The first six and their descriptions are the contract's."""

    prompt: Annotated[
        str,
        Field(
            description="Text prompt(s) to guide upscaled image generation.",
            min_length=1,  # FastAPI takes an empty field for a missing one
        ),
    ]
    model_id: Annotated[
        str, Field(description="Hugging Face model ID used for upscaled image generation.")
    ] = ""
    safety_check: Annotated[
        bool,
        Field(
            description="Perform a safety check to estimate if generated images could be"
            " offensive or harmful."
        ),
    ] = True
    seed: Annotated[
        int | None,
        Field(description="Seed for random number generation.", ge=MIN_SEED, le=MAX_SEED),
    ] = None
    num_inference_steps: Steps = DEFAULT_INFERENCE_STEPS
    negative_prompt: Annotated[
        str, Field(description="Text that the image should not show; needs guidance.")
    ] = ""
    guidance_scale: GuidanceScale = None
    noise_level: Annotated[
        int | None,
        Field(
            description="Noise added to the input before it is upscaled; more lets the model"
            " invent more. Unset, the model's default.",
            ge=0,
        ),
    ] = None
    scheduler: SchedulerName = ""
    step_cache: StepCacheInterval = None
    output_format: ResultFormat = "png"
    color_fix: Annotated[
        ColorFix,
        Field(
            description="wavelet gives the result the colours of the image: its low frequencies."
            " none leaves what the model makes, as diffusers."
        ),
    ] = "none"
    stream: Annotated[
        bool,
        Field(description="Answer with server-sent events, as Accept: text/event-stream does."),
    ] = False
    response: Annotated[
        Literal["json", "image"],
        Field(
            description="image answers with the file itself, as Accept: image/png does, its seed"
            " and nsfw in the headers Upscale-Seed and Upscale-Nsfw."
        ),
    ] = "json"

    scale: Annotated[
        float | None,
        Field(
            description="Sides of the result by those of the image, 1 to 4: made four times as"
            " large and then reduced. Unset, 4.",
            ge=1,
            le=SCALE,
            allow_inf_nan=False,
        ),
    ] = None
    width: Annotated[
        int | None,
        Field(description="Largest width of the result, in place of scale, pixels.", ge=1),
    ] = None
    height: Annotated[
        int | None,
        Field(description="Largest height of the result, in place of scale, pixels.", ge=1),
    ] = None
    background: Annotated[
        str | None,
        Field(
            description="Colour to put behind what is transparent, as #ffffff; unset, PNG and WebP"
            " stay transparent, and a JPEG is put on white.",
            pattern="^#[0-9a-fA-F]{6}$",
        ),
    ] = None
    fit: Fit = False

    def check_against(
        self,
        model: ServedModel,
        max_prompt_chars: int,
        without_checker: SafetyCheck = SafetyCheck.REFUSE,
    ) -> None:
        """Raises InvalidRequest for what the served model cannot do and for long prompts.

        without_checker: what becomes of a check that the model has no checker for.
        """
        for name, prompt in (("prompt", self.prompt), ("negative_prompt", self.negative_prompt)):
            if len(prompt) > max_prompt_chars:
                raise InvalidRequest(
                    f"{name} has {len(prompt)} characters; at most {max_prompt_chars} are allowed."
                )
        if self.model_id not in ("", model.model_id):
            raise InvalidRequest(
                f"pipeline configured with {model.model_id} but called with {self.model_id}."
            )
        check_steps(self.num_inference_steps)
        if self.noise_level is not None and self.noise_level > model.max_noise_level:
            raise InvalidRequest(
                f"noise_level is {self.noise_level}; at most {model.max_noise_level} is allowed."
            )
        if self.scale is not None and (self.width is not None or self.height is not None):
            raise InvalidRequest("Send scale, or width and height; scale is given beside them.")
        scheduler_of(self.scheduler, model)
        interval_of(self.step_cache, model)
        if self.skips_check(model) and without_checker is SafetyCheck.REFUSE:
            raise InvalidRequest(str(NoSafetyChecker()))

    def skips_check(self, model: ServedModel) -> bool:
        """Whether a check is asked for that the model has no checker for."""
        return self.safety_check and not model.has_safety_checker

    def result_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the result of an image, pixels. Raises InvalidRequest."""
        full = SCALE * width, SCALE * height
        scale = 1.0 if self.scale is None else self.scale / SCALE
        for name, most in zip(("width", "height"), full, strict=True):
            wanted = getattr(self, name)
            if wanted is None:
                continue
            if wanted > most:
                raise InvalidRequest(
                    f"{name} is {wanted}; of an image of {width} x {height} pixels at most {most},"
                    f" {SCALE} times as much, can be made."
                )
            scale = min(scale, wanted / most)
        return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))

    @property
    def background_colour(self) -> tuple[int, int, int] | None:
        """Red, green and blue, 0 to 255."""
        if self.background is None:
            return None
        red, green, blue = bytes.fromhex(self.background[1:])
        return red, green, blue

    def inputs(
        self, image: NDArray[np.uint8], model: ServedModel, step_cache: int = 1
    ) -> UpscaleInputs:
        """What Triton is asked for, with the defaults of the model, and the server's step_cache.

        image: RGB uint8 [H, W, 3].
        """
        steps, guidance_scale = filled_in(self.num_inference_steps, self.guidance_scale, model)
        return UpscaleInputs(
            model=model,
            image=image,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            seed=secrets.randbits(32) if self.seed is None else self.seed,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            noise_level=model.noise_level if self.noise_level is None else self.noise_level,
            safety_check=self.safety_check and model.has_safety_checker,
            color_fix=self.color_fix,
            scheduler=scheduler_of(self.scheduler, model),
            scheduler_name=self.scheduler,
            step_cache=interval_of(self.step_cache, model, step_cache),
        )


class UpscaleForm(UpscaleFields):
    """As multipart/form-data, with the image as a file."""

    image: Annotated[UploadFile, File(description="Uploaded image to modify with the pipeline.")]


class UpscaleJson(UpscaleFields):
    """As application/json, with the image in base64."""

    image: Annotated[
        str,
        Field(
            description="Image to modify with the pipeline, in base64 or as a data: URL of it;"
            " nothing is fetched from an address."
        ),
    ]


def form_of_json(content: bytes, max_prompt_chars: int) -> UpscaleJson:
    """The fields of a body. Raises InvalidRequest, or RequestValidationError as of a form."""
    fields = fields_of_json(content, 2 * max_prompt_chars + MARKS_BESIDE_PROMPTS)
    # In a form, too, an empty field is one that was left out; an empty file is an empty file.
    given = {name: value for name, value in fields.items() if value != "" or name == "image"}
    return validated(UpscaleJson, given)
