"""Tiny random-weight pipelines of the real classes: their pictures are noise.

`python -m tests.tiny_pipeline OUTPUT --architecture wide` writes one in diffusers' folder format.
"""

from pathlib import Path
from typing import Any

import torch
import typer
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
)

LEVELS = 4
# Two shapes that share as little as they can, so that nothing is tuned to one of them.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "narrow": {
        "unet": {
            "block_out_channels": (16, 32, 32, 48),
            "layers_per_block": 1,
            "attention_head_dim": 4,
            "norm_num_groups": 8,
        },
        # Attention over the 128 x 128 latents of the warm-up takes a gigabyte and seconds, and most
        # of the tests' servers are of this one.
        "vae": {
            "block_out_channels": (8, 16, 24),
            "norm_num_groups": 4,
            "mid_block_add_attention": False,
        },
        # An attention takes five seconds to export, and this one is exported again and again.
        "levels_with_attention": 1,
        "text_hidden_size": 24,
        "pad_token": "!",
        "max_noise_level": 350,
    },
    "wide": {
        "unet": {
            "block_out_channels": (24, 24, 48, 48),
            "layers_per_block": 2,
            "attention_head_dim": 8,
            "norm_num_groups": 12,
            "only_cross_attention": (True, True, False, False),
        },
        "vae": {"block_out_channels": (16, 16, 32), "norm_num_groups": 8},
        "levels_with_attention": 3,
        "text_hidden_size": 40,
        "pad_token": "<|endoftext|>",
        "max_noise_level": 200,
    },
}
BETAS: dict[str, Any] = {
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}


def make_tokenizer(pad_token: str) -> CLIPTokenizer:
    """A CLIP tokenizer without merges: every byte is a token."""
    symbols = sorted(ByteLevel.alphabet())
    vocabulary = symbols + [symbol + "</w>" for symbol in symbols]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: index for index, token in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=vocab, merges=[], pad_token=pad_token, model_max_length=77)


def make_text_encoder(tokenizer: CLIPTokenizer, hidden_size: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden_size,
            intermediate_size=2 * hidden_size,
            num_hidden_layers=2,
            num_attention_heads=2,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_safety_checker(threshold: float) -> StableDiffusionSafetyChecker:
    """A checker whose every concept has this threshold: 1 flags nothing, -1 flags everything."""
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(
            text_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
            vision_config={
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 224,
                "patch_size": 32,
            },
            projection_dim=8,
        )
    )
    torch.nn.init.normal_(checker.concept_embeds)
    torch.nn.init.normal_(checker.special_care_embeds)
    checker.concept_embeds_weights.data.fill_(threshold)
    checker.special_care_embeds_weights.data.fill_(threshold)
    return checker


def make_pipeline(architecture: str) -> StableDiffusionUpscalePipeline:
    """A StableDiffusionUpscalePipeline with seeded random weights, in float32 on the CPU."""
    shape = ARCHITECTURES[architecture]
    torch.manual_seed(len(architecture))
    tokenizer = make_tokenizer(shape["pad_token"])
    plain, attending = LEVELS - shape["levels_with_attention"], shape["levels_with_attention"]
    unet = UNet2DConditionModel(
        in_channels=7,
        out_channels=4,
        num_class_embeds=1000,
        down_block_types=("DownBlock2D",) * plain + ("CrossAttnDownBlock2D",) * attending,
        up_block_types=("CrossAttnUpBlock2D",) * attending + ("UpBlock2D",) * plain,
        cross_attention_dim=shape["text_hidden_size"],
        use_linear_projection=True,
        **{"only_cross_attention": (True, True, True, False), **shape["unet"]},
    )
    vae = AutoencoderKL(
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        scaling_factor=0.08333,  # the pipeline overwrites any other
        **shape["vae"],
    )
    pipeline = StableDiffusionUpscalePipeline(
        vae=vae,
        text_encoder=make_text_encoder(tokenizer, shape["text_hidden_size"]),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(
            **BETAS,
            prediction_type="v_prediction",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        low_res_scheduler=DDPMScheduler(**BETAS, clip_sample=True, variance_type="fixed_small"),
        watermarker=None,
        max_noise_level=shape["max_noise_level"],
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write(folder: Path, architecture: str = "narrow", threshold: float = 1.0) -> None:
    """Write a pipeline and, beside it, a safety checker; the pipeline itself cannot call one."""
    make_pipeline(architecture).save_pretrained(folder)
    make_safety_checker(threshold).save_pretrained(folder / "safety_checker")
    CLIPImageProcessorPil().save_pretrained(folder / "feature_extractor")


def main(output: Path, architecture: str = "narrow") -> None:
    """Write a tiny random-weight pipeline, in diffusers' folder format, to OUTPUT."""
    write(output, architecture)
    typer.echo(f"{output}: random weights, architecture {architecture}; its pictures are noise")


if __name__ == "__main__":
    typer.run(main)
