"""The wrappers of the networks against diffusers."""

from typing import Any

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor

from export.networks import VaeDecoder
from tests.tiny_pipeline import make_pipeline


@torch.no_grad()
def test_the_decoder_gives_the_pixels_of_diffusers() -> None:
    pipeline = make_pipeline("narrow")
    checkpoint: Any = type("Checkpoint", (), {"load": lambda _, name: getattr(pipeline, name)})()
    latents = torch.randn(2, 4, 16, 24, generator=torch.Generator().manual_seed(0)) / 4
    image = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    expected = np.stack([np.asarray(i) for i in VaeImageProcessor().postprocess(image)])
    actual = VaeDecoder(checkpoint)(latents)
    assert actual.dtype == torch.uint8
    assert np.array_equal(actual.numpy(), expected)
    assert expected.std() > 10
