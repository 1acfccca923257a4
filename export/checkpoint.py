"""The diffusers checkpoint that is exported: what it holds, and its networks one at a time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPTextConfig, CLIPTextModel

from export.errors import ExportError
from export.hub import Count
from export.safety_checker import find_safety_checker
from export.schedulers import chosen_scheduler, served_schedulers
from export.source import find, model_id_of
from export.step_cache import step_cache_of
from export.weights import Weights, refuse_unknown_variant, weights_of
from stages.limits import DEFAULT_INFERENCE_STEPS
from stages.schedulers import Scheduler
from stages.step_cache import StepCache

MODELS = {"text_encoder": CLIPTextModel, "unet": UNet2DConditionModel, "vae": AutoencoderKL}
OTHERS = ("tokenizer", "scheduler", "low_res_scheduler")
SMALL = (
    "model_index.json",
    "upscale.json",
    *(f"{part}/*.json" for part in (*MODELS, *OTHERS, "safety_checker", "feature_extractor")),
    "tokenizer/*.txt",
)


@dataclass(frozen=True)
class Defaults:
    """A model's request defaults: those of diffusers unless its folder has an `upscale.json`."""

    num_inference_steps: int = DEFAULT_INFERENCE_STEPS
    guidance_scale: float = 9.0
    noise_level: int = 20
    prompt_has_effect: bool = True  # false for a model that was not trained on captions


@dataclass(frozen=True)
class Checkpoint:
    """A `StableDiffusionUpscalePipeline` and its safety checker, whose networks are yet empty.

    The models of `pipeline` and `safety_checker` have their configurations but no weights; `load`
    makes one that has. weights: by network, `text_encoder`, `unet`, `vae`, `safety_checker`.
    schedulers: diffusers' that are served, the default first; left_out: why others are not, by
    name. revision: the Hugging Face commit, or None for a local folder. step_cache: where one is
    to be exported.
    """

    model_id: str
    revision: str | None
    pipeline: StableDiffusionUpscalePipeline
    safety_checker: StableDiffusionSafetyChecker | None
    safety_checker_id: str | None
    feature_extractor_config: Path | None
    defaults: Defaults
    weights: Mapping[str, Weights]
    schedulers: Mapping[Scheduler, Any]
    left_out: Mapping[str, str]
    step_cache: StepCache | None = None

    def load(self, name: str) -> Any:
        """A network in float32 on the CPU, read anew: it is gone when the caller lets go of it.

        Raises ExportError when its files are broken or of another network.
        """
        weights = self.weights[name]
        empty: Any = self.safety_checker
        if name != "safety_checker":
            empty = getattr(self.pipeline, name)
        path = weights.source.folder / weights.subfolder
        try:
            model, found = type(empty).from_pretrained(
                path,
                variant=weights.variant,
                dtype=torch.float32,
                use_safetensors=True,  # the other format runs code when it is read
                local_files_only=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ExportError(f"{path} holds no {type(empty).__name__}: {error}") from error
        if missing := found["missing_keys"] or found["mismatched_keys"]:
            raise ExportError(
                f"{path} lacks weights of {type(empty).__name__}: {sorted(map(str, missing))[0]}"
                f" and {len(missing) - 1} more. Download it again."
            )
        if name == "vae":  # the pipeline sets right what the first releases had wrong
            model.register_to_config(scaling_factor=empty.config.scaling_factor)
        return model.eval()


def find_checkpoint(
    model: str,
    revision: str | None,
    safety_checker: str | None,
    model_id: str | None,
    variant: str | None = None,
    scheduler: str | None = None,
    cache_branch: int | None = None,
) -> Checkpoint:
    """Look at a checkpoint, of the hub or in a folder; of the hub only small files are brought.

    scheduler: the default of requests, as export/schedulers.py chooses it.
    safety_checker: an id, an id@revision or a folder, `none` to leave it out, or None for the
    checkpoint's own and, where it has none, `safety_checker.USUAL`. cache_branch: of a step cache,
    as in export/step_cache.py; None for none.
    Raises ExportError when something is missing or of a kind that the stages do not serve.
    """
    source = find(model, revision, SMALL)
    pipeline = empty_pipeline(source.folder)
    pipeline.scheduler = chosen_scheduler(pipeline.scheduler, scheduler)
    schedulers, left_out = served_schedulers(pipeline.scheduler, scheduler or source.folder)
    weights = {name: weights_of(source, name, variant) for name in MODELS}
    refuse_unknown_variant(variant, weights.values())
    checker = find_safety_checker(source, safety_checker, variant)
    if checker is not None:
        weights["safety_checker"] = checker.weights
    return Checkpoint(
        model_id=model_id or model_id_of(source),
        revision=source.revision,
        pipeline=pipeline,
        safety_checker=checker.model if checker else None,
        safety_checker_id=checker.name if checker else None,
        feature_extractor_config=checker.feature_extractor_config if checker else None,
        defaults=load_defaults(source.folder),
        weights=weights,
        schedulers=schedulers,
        left_out=left_out,
        step_cache=None if cache_branch is None else step_cache_of(pipeline.unet, cache_branch),
    )


def fetch_weights(checkpoint: Checkpoint, count: Count = lambda _: None) -> None:
    """Bring what is still at the hub; count gets the bytes. Raises ExportError."""
    for weights in checkpoint.weights.values():
        weights.source.fetch(weights.files, count)


def load_checkpoint(
    model: str, revision: str | None, safety_checker: str | None, model_id: str | None
) -> Checkpoint:
    """`find_checkpoint` with all its weights here. Raises ExportError."""
    checkpoint = find_checkpoint(model, revision, safety_checker, model_id)
    fetch_weights(checkpoint)
    return checkpoint


def empty_pipeline(folder: Path) -> StableDiffusionUpscalePipeline:
    """The pipeline, its models without weights.

    Raises ExportError when it is none.
    """
    try:
        with torch.device("meta"):
            models = {
                "text_encoder": CLIPTextModel(
                    CLIPTextConfig.from_pretrained(folder / "text_encoder", local_files_only=True)
                ),
                "unet": UNet2DConditionModel.from_config(
                    UNet2DConditionModel.load_config(folder / "unet", local_files_only=True)
                ),
                "vae": AutoencoderKL.from_config(
                    AutoencoderKL.load_config(folder / "vae", local_files_only=True)
                ),
            }
        pipeline = StableDiffusionUpscalePipeline.from_pretrained(
            folder, **models, safety_checker=None, local_files_only=True
        )
    except (OSError, ValueError, TypeError) as error:
        raise ExportError(f"{folder} holds no StableDiffusionUpscalePipeline: {error}") from error
    return pipeline


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
