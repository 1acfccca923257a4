"""The diffusers checkpoint that is exported: where it is and what it holds."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionUpscalePipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from export.errors import ExportError
from stages.limits import DEFAULT_INFERENCE_STEPS, MAX_INFERENCE_STEPS


@dataclass(frozen=True)
class Defaults:
    """A model's request defaults: those of diffusers unless its folder has an `upscale.json`."""

    num_inference_steps: int = DEFAULT_INFERENCE_STEPS
    guidance_scale: float = 9.0
    noise_level: int = 20
    prompt_has_effect: bool = True  # false for a model that was not trained on captions


@dataclass(frozen=True)
class Checkpoint:
    """A loaded `StableDiffusionUpscalePipeline` in float32 on the CPU, and its safety checker."""

    model_id: str
    revision: str | None  # the Hugging Face commit; None for a local folder
    pipeline: StableDiffusionUpscalePipeline
    safety_checker: StableDiffusionSafetyChecker | None
    safety_checker_id: str | None  # what it was asked for by
    feature_extractor_config: Path | None
    defaults: Defaults


def load_checkpoint(
    model: str, revision: str | None, safety_checker: str | None, model_id: str | None
) -> Checkpoint:
    """Load a checkpoint by Hugging Face id or from a local diffusers folder.

    safety_checker: an id or folder, `none` to leave it out, or None for the checkpoint's own and,
    where it has none, `CompVis/stable-diffusion-safety-checker`.
    Raises ExportError when something is missing or of a kind that the stages do not serve.
    """
    # The pipeline knows which of the hub's files it needs.
    folder, commit = locate_model(model, revision, StableDiffusionUpscalePipeline.download)
    pipeline = load_pipeline(folder)
    checker_folder, checker_id = locate_safety_checker(folder, safety_checker)
    checker, feature_extractor_config = load_safety_checker(checker_folder)
    return Checkpoint(
        model_id=model_id or (folder.resolve().name if commit is None else model),
        revision=commit,
        pipeline=pipeline,
        safety_checker=checker,
        safety_checker_id=checker_id,
        feature_extractor_config=feature_extractor_config,
        defaults=load_defaults(folder),
    )


def locate_model(
    model: str, revision: str | None, download: Callable[..., Any]
) -> tuple[Path, str | None]:
    """The local folder of a model and, when it came from Hugging Face, its commit."""
    if Path(model).is_dir():
        if revision is not None:
            raise ExportError(
                f"--revision {revision} is for Hugging Face ids; {model} is a folder."
            )
        return Path(model), None
    try:
        folder = Path(download(model, revision=revision))
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise ExportError(
            f"{model} is neither a folder here nor a model that Hugging Face gave us: {error}"
        ) from error
    return folder, folder.name  # the cache's folder of a snapshot is named after its commit


def load_pipeline(folder: Path) -> StableDiffusionUpscalePipeline:
    """Load the pipeline. Raises ExportError when it is none or its scheduler is not served."""
    try:
        pipeline = StableDiffusionUpscalePipeline.from_pretrained(
            folder,
            dtype=torch.float32,
            safety_checker=None,
            local_files_only=True,
            use_safetensors=True,  # the other format runs code when it is read
        )
    except (OSError, ValueError, TypeError) as error:
        raise ExportError(f"{folder} holds no StableDiffusionUpscalePipeline: {error}") from error
    scheduler = pipeline.scheduler
    if (
        not isinstance(scheduler, DDIMScheduler)
        or scheduler.config.clip_sample
        or scheduler.config.thresholding
    ):
        raise ExportError(
            f"{folder} has the scheduler {type(scheduler).__name__}; denoise steps a DDIMScheduler"
            " with clip_sample and thresholding off, as the x4 upscaler has it."
        )
    if scheduler.config.num_train_timesteps < MAX_INFERENCE_STEPS:
        raise ExportError(
            f"{folder} has a scheduler of {scheduler.config.num_train_timesteps} timesteps; a"
            f" request may ask for {MAX_INFERENCE_STEPS} steps, so it needs as many."
        )
    return pipeline


def locate_safety_checker(folder: Path, wanted: str | None) -> tuple[Path | None, str | None]:
    """The folder and the name of the safety checker, or two Nones."""
    if wanted == "none":
        return None, None
    if wanted is None and (folder / "safety_checker").is_dir():
        return folder, "the checkpoint's own"
    wanted = wanted or "CompVis/stable-diffusion-safety-checker"
    download = partial(snapshot_download, allow_patterns=["*.json", "*.safetensors"])
    return locate_model(wanted, None, download)[0], wanted


def load_safety_checker(
    folder: Path | None,
) -> tuple[StableDiffusionSafetyChecker | None, Path | None]:
    """The checker and the path of the configuration of the feature extractor that feeds it."""
    if folder is None:
        return None, None
    weights = folder / "safety_checker" if (folder / "safety_checker").is_dir() else folder
    extractors = (
        folder / "feature_extractor" / "preprocessor_config.json",
        folder / "preprocessor_config.json",
    )
    extractor = next((path for path in extractors if path.is_file()), None)
    if extractor is None:
        raise ExportError(
            f"The safety checker in {folder} comes without a preprocessor_config.json."
        )
    try:
        checker = StableDiffusionSafetyChecker.from_pretrained(
            weights, dtype=torch.float32, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise ExportError(f"{folder} holds no StableDiffusionSafetyChecker: {error}") from error
    return checker, extractor


def load_defaults(folder: Path) -> Defaults:
    """The defaults in the folder's upscale.json. Raises ExportError for a key that is none."""
    path = folder / "upscale.json"
    if not path.is_file():
        return Defaults()
    values: dict[str, Any] = json.loads(path.read_text())
    try:
        return Defaults(**values)
    except TypeError as error:
        raise ExportError(f"{path}: {error}") from error
