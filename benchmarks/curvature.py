"""How far a model's way from noise to a picture is from straight.

DDIM's step is exact, however long, where the estimate of the picture is the same all the way (Song
et al., Denoising Diffusion Implicit Models, 2021, equation 12). What it wanders is what steps are
for.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionUpscalePipeline
from PIL import Image

STEPS = 100


def curvature(
    pipeline: StableDiffusionUpscalePipeline, images: Sequence[Image.Image], **options: Any
) -> float:
    """The mean over images, RGB; 0 where one step is as good as many.

    Of an image: the root mean square, over equal angles of arctan(noise / picture), of the distance
    between the latents that are estimated and the last such, in the last ones' standard deviations.
    options: of the pipeline's call.
    """
    own = pipeline.scheduler
    try:
        return float(np.mean([_of_image(pipeline, image, options) for image in images]))
    finally:
        pipeline.scheduler = own


def _of_image(
    pipeline: StableDiffusionUpscalePipeline, image: Image.Image, options: dict[str, Any]
) -> float:
    pipeline.scheduler = Observed.from_config(pipeline.scheduler.config)
    pipeline.scheduler.observed = []
    generator = torch.Generator().manual_seed(0)
    latents = {"output_type": "latent", "num_inference_steps": STEPS}
    pipeline(image=image, generator=generator, **latents, **options)
    angles, estimates = zip(*pipeline.scheduler.observed, strict=True)
    last = estimates[-1].float()
    squares = [float((estimate - last).square().mean()) for estimate in estimates]
    # Steps are of time, and the angles that they take differ.
    mean = np.average(squares, weights=-np.diff(angles, append=0))
    return float(np.sqrt(mean) / last.std())


class Observed(DDIMScheduler):  # type: ignore[misc] # diffusers has no types
    """Keeps what it estimates: (angle in radians, latents without noise) of every step."""

    observed: list[tuple[float, torch.Tensor]]

    def step(self, model_output: Any, timestep: Any, sample: Any, *_: Any, **__: Any) -> Any:
        """DDIM's own."""
        previous, estimate = super().step(model_output, timestep, sample, return_dict=False)
        share = float(self.alphas_cumprod[int(timestep)])
        self.observed.append((float(np.arctan(np.sqrt((1 - share) / share))), estimate))
        return previous, estimate
