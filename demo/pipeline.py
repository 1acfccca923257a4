"""The demo model in diffusers."""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionUpscalePipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil

MODEL = Path(__file__).parent / "model"
DEFAULTS = json.loads((MODEL / "upscale.json").read_text())


def load_pipeline(folder: Path = MODEL) -> StableDiffusionUpscalePipeline:
    """The model in a folder, in float32 on the CPU."""
    pipeline = StableDiffusionUpscalePipeline.from_pretrained(
        folder, dtype=torch.float32, safety_checker=None, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def load_safety_checker(folder: Path = MODEL) -> StableDiffusionSafetyChecker:
    """The safety checker in the model's folder, in float32 on the CPU."""
    return StableDiffusionSafetyChecker.from_pretrained(
        folder / "safety_checker", dtype=torch.float32
    )


def preprocess(images: list[NDArray[np.uint8]]) -> Tensor:
    """What the pipeline's feature extractor makes of pictures: float32 [N, 3, 224, 224]."""
    extract = CLIPImageProcessorPil()
    return torch.cat(
        [extract(Image.fromarray(i), return_tensors="pt").pixel_values for i in images]
    )
