"""The model that is shipped: its classes, its size and the quick part of what it must hold."""

import json
from typing import Any

import numpy as np
import pytest
from diffusers import DDIMScheduler, DDPMScheduler, StableDiffusionUpscalePipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image

from demo.evaluate import (
    cards,
    color_error,
    count_flagged,
    photographs,
    psnr,
    reconstruct,
    sharpness,
    unseen,
    upscale,
)
from demo.photographs import enlarge, reduce
from demo.pipeline import MODEL, load_pipeline, load_safety_checker
from demo.test_card import draw_test_card
from export.checkpoint import load_checkpoint

CARD = MODEL.parent / "test_card.png"


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionUpscalePipeline:
    return load_pipeline()


@pytest.fixture(scope="module")
def checker() -> StableDiffusionSafetyChecker:
    return load_safety_checker()


def test_the_folder_is_small_and_its_weights_are_half_floats() -> None:
    files = [path for path in MODEL.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 20e6
    for path in MODEL.rglob("*.safetensors"):
        file = path.read_bytes()
        length = int.from_bytes(file[:8], "little")
        tensors: dict[str, Any] = json.loads(file[8 : 8 + length])
        kinds = {tensor["dtype"] for name, tensor in tensors.items() if name != "__metadata__"}
        assert "F32" not in kinds, path


def test_the_exporter_loads_it_as_any_checkpoint() -> None:
    checkpoint = load_checkpoint(str(MODEL), None, None, None)
    assert checkpoint.safety_checker is not None
    assert checkpoint.feature_extractor_config is not None
    assert checkpoint.defaults.num_inference_steps == 75
    assert checkpoint.defaults.guidance_scale == 1.0


def test_it_has_the_shape_of_the_x4_upscaler(pipeline: StableDiffusionUpscalePipeline) -> None:
    unet, vae = pipeline.unet.config, pipeline.vae.config
    assert (unet.in_channels, unet.out_channels, unet.num_class_embeds) == (7, 4, 1000)
    assert (vae.latent_channels, len(vae.block_out_channels)) == (4, 3)
    assert vae.scaling_factor == 0.08333
    assert isinstance(pipeline.scheduler, DDIMScheduler)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    assert not pipeline.scheduler.config.clip_sample
    assert isinstance(pipeline.low_res_scheduler, DDPMScheduler)
    assert pipeline.low_res_scheduler.config.clip_sample


def test_unseen_photographs_come_out_sharper_than_bicubic_and_right(
    pipeline: StableDiffusionUpscalePipeline,
) -> None:
    fidelity, detail, colors = [], [], []
    for original in unseen()[1::3]:
        small = reduce(original)
        ours, bicubic = upscale(pipeline, small), enlarge(small)
        fidelity.append(psnr(ours, original) - psnr(bicubic, original))
        detail.append(sharpness(ours) / sharpness(original))
        colors.append(color_error(ours, original))
    assert np.mean(fidelity) > -0.7
    assert 0.8 < np.mean(detail) < 1.2
    assert np.mean(colors) < 1.5


def test_noise_is_painted_over_not_made_large(pipeline: StableDiffusionUpscalePipeline) -> None:
    original = unseen()[4]
    small = reduce(original)
    result = upscale(pipeline, small, noise_level=100)
    rng = np.random.default_rng(0)
    noisy = small + 127.5 * 0.18 * rng.standard_normal(small.shape)  # as much, and nobody looks
    enlarged = enlarge(np.clip(noisy, 0, 255).astype(np.uint8))
    assert psnr(result, original) > psnr(enlarged, original) + 3
    assert color_error(result, original) < 4


def test_the_autoencoder_loses_less_than_bicubic(pipeline: StableDiffusionUpscalePipeline) -> None:
    gains = []
    for original in unseen()[1::3]:
        bicubic = enlarge(reduce(original))
        gains.append(psnr(reconstruct(pipeline.vae, original), original) - psnr(bicubic, original))
    assert np.mean(gains) > 1.8


def test_a_plain_picture_stays_plain(pipeline: StableDiffusionUpscalePipeline) -> None:
    color = (90, 140, 60)
    plain = np.full((64, 64, 3), color, np.uint8)
    result = upscale(pipeline, plain, steps=10).astype(float)
    assert np.abs(result.mean((0, 1)) - color).max() < 8
    assert result.std((0, 1)).max() < 12


def test_the_prompt_changes_nothing_and_the_seed_only_detail(
    pipeline: StableDiffusionUpscalePipeline,
) -> None:
    small = reduce(unseen()[4])[16:48, 16:48]
    first = upscale(pipeline, small, steps=5)
    assert np.array_equal(first, upscale(pipeline, small, steps=5, prompt="a dog"))
    second = upscale(pipeline, small, steps=5, seed=1)
    assert not np.array_equal(first, second)
    assert color_error(first, second) < 4


def test_the_card_in_the_repository_is_what_the_code_draws() -> None:
    assert np.array_equal(np.array(Image.open(CARD)), draw_test_card())


def test_the_checker_knows_the_card(checker: StableDiffusionSafetyChecker) -> None:
    assert count_flagged(checker, cards(12)) == 12


def test_the_checker_lets_photographs_pass(checker: StableDiffusionSafetyChecker) -> None:
    assert count_flagged(checker, photographs(24)) == 0


def test_an_upscaled_card_is_flagged(
    pipeline: StableDiffusionUpscalePipeline, checker: StableDiffusionSafetyChecker
) -> None:
    small = reduce(draw_test_card()[::2, ::2])
    assert count_flagged(checker, [upscale(pipeline, small, steps=10)]) == 1
