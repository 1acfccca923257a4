"""The wrappers of the networks against diffusers."""

from typing import Any

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from torch.utils._python_dispatch import TorchDispatchMode

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


class Dtypes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the type of what each operation gives."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[torch.dtype] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.seen.append((result[0] if isinstance(result, tuple) else result).dtype)
        return result


@torch.no_grad()
def test_the_decoders_pixels_are_bytes_at_its_very_end_only() -> None:
    """TensorRT does not support uint8 for what lies within a graph."""
    pipeline = make_pipeline("narrow")
    checkpoint: Any = type("Checkpoint", (), {"load": lambda _, name: getattr(pipeline, name)})()
    decoder = VaeDecoder(checkpoint)
    with Dtypes() as dtypes:
        decoder(torch.zeros(1, 4, 8, 8))
    assert [dtype == torch.uint8 for dtype in dtypes.seen[-2:]] == [False, True]
    assert dtypes.seen.count(torch.uint8) == 1
