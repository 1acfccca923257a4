"""The last stage: everything trained, in diffusers' folder format."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionUpscalePipeline, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPImageProcessorPil

from demo.training.text import make_text_encoder, make_tokenizer
from demo.training.unet import make_low_res_scheduler, make_scheduler

MAX_NOISE_LEVEL = 350
DEFAULTS = {
    "num_inference_steps": 75,
    "guidance_scale": 1.0,
    "noise_level": 0,
    "prompt_has_effect": False,
}


def assemble(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    safety_checker: StableDiffusionSafetyChecker | None,
    folder: Path,
    seed: int,
) -> None:
    """Write the model in float16 to a folder beside and exchange the two; a model card stays."""
    pipeline = make_pipeline(vae, unet, seed).to(dtype=torch.float16)
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    pipeline.save_pretrained(fresh)
    if safety_checker is not None:
        safety_checker.half().save_pretrained(fresh / "safety_checker")
        CLIPImageProcessorPil().save_pretrained(fresh / "feature_extractor")
    forget_origins(fresh)
    (fresh / "upscale.json").write_text(json.dumps(DEFAULTS, indent=2) + "\n")
    card = folder / "README.md"
    if card.exists():
        shutil.copy(card, fresh / "README.md")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def forget_origins(folder: Path) -> None:
    """Drop the folders that the parts were loaded from, which diffusers writes down."""
    for path in folder.glob("*/config.json"):
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        path.write_text(json.dumps(config, indent=2) + "\n")


def make_pipeline(
    vae: AutoencoderKL, unet: UNet2DConditionModel, seed: int
) -> StableDiffusionUpscalePipeline:
    """A pipeline on the CPU without a safety checker, which it could not call."""
    tokenizer = make_tokenizer()
    pipeline = StableDiffusionUpscalePipeline(
        vae=vae,
        text_encoder=make_text_encoder(tokenizer, seed),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=make_scheduler(),
        low_res_scheduler=make_low_res_scheduler(),
        watermarker=None,
        max_noise_level=MAX_NOISE_LEVEL,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
