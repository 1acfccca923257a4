"""A checkpoint of the x4 upscaler's own architecture, in its full size, with random weights.

`python -m benchmarks.full_size OUTPUT`; 2.4 GB in half precision, `--divisor 8` 32 MB. Its files
are those of https://huggingface.co/stabilityai/stable-diffusion-x4-upscaler: no `tokenizer.json`,
null in `model_index.json`, weights under the names of 2022; and beside them the safety checker of
CompVis/stable-diffusion-v1-4. `make test-full-size` exports and serves it.
"""

import json
import shutil
from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import load_file, save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPTextConfig, CLIPTextModel

DEMO = Path(__file__).parents[1] / "demo" / "model"
# The names that attention had in the first releases, and has at the hub to this day.
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
INDEX = {
    "_class_name": "StableDiffusionUpscalePipeline",
    "_diffusers_version": "0.10.0.dev0",
    "feature_extractor": [None, None],
    "low_res_scheduler": ["diffusers", "DDPMScheduler"],
    "max_noise_level": 350,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "watermarker": [None, None],
}
UNET = {
    "in_channels": 7,
    "out_channels": 4,
    "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
    "up_block_types": (*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "only_cross_attention": (True, True, True, False),
    "num_class_embeds": 1000,
    "use_linear_projection": True,
    "sample_size": 128,
}
BETAS: dict[str, Any] = {
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}
TOKENS, WORDS = 77, 49408
START, END, PAD = "<|startoftext|>", "<|endoftext|>", "!"


def write(folder: Path, divisor: int = 1) -> None:
    """Write the checkpoint to a folder that does not exist yet.

    divisor: 2, 4 or 8 for as many times fewer channels and layers, for a try of what follows.
    """
    torch.manual_seed(1)
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    write_tokenizer(folder / "tokenizer")
    write_schedulers(folder)
    hidden = 1024 // divisor
    write_vae(folder / "vae", divisor)
    unet = UNet2DConditionModel(**unet_config(divisor))
    save(unet, folder / "unet")
    del unet
    text = CLIPTextConfig(
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=23 // divisor,
        num_attention_heads=16,
        hidden_act="gelu",
        vocab_size=WORDS,
        bos_token_id=WORDS - 2,
        eos_token_id=WORDS - 1,
        pad_token_id=0,
        projection_dim=512,
    )
    save(CLIPTextModel(text), folder / "text_encoder")
    use_old_names(folder / "text_encoder", "", "text_model.", TOKENS)
    write_safety_checker(folder, hidden, 24 // divisor)


def unet_config(divisor: int = 1) -> dict[str, Any]:
    """The x4 upscaler's, with so many times fewer channels."""
    return {
        **UNET,
        "block_out_channels": tuple(width // divisor for width in (256, 512, 512, 1024)),
        "cross_attention_dim": 1024 // divisor,
    }


def vae_config(divisor: int = 1) -> dict[str, Any]:
    """The x4 upscaler's, with so many times fewer channels, 32 at least."""
    return {
        "block_out_channels": tuple(max(32, width // divisor) for width in (128, 256, 512)),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "layers_per_block": 2,
        "latent_channels": 4,
        "sample_size": 256,
        "scaling_factor": 0.08333,
    }


def write_vae(folder: Path, divisor: int = 1) -> None:
    """The VAE alone, into `folder`, in half precision and under its old names."""
    torch.manual_seed(0)
    vae = AutoencoderKL(**vae_config(divisor))
    vae.half().save_pretrained(folder)
    path = folder / "diffusion_pytorch_model.safetensors"
    save_file({old_name(name): tensor for name, tensor in load_file(path).items()}, path)


def old_name(name: str) -> str:
    """The same weight's name in the first releases."""
    for new, old in OLD.items():
        name = name.replace(f".{new}.", f".{old}.")
    return name


def save(model: Any, folder: Path) -> None:
    """A network in half precision, in one file."""
    model.half().save_pretrained(folder, max_shard_size="10GB")


def use_old_names(folder: Path, new: str, old: str, positions: int) -> None:
    """CLIP's weights as transformers wrote them in 2022: another prefix, and `position_ids`."""
    path = folder / "model.safetensors"
    tensors = {
        old + name.removeprefix(new) if name.startswith(new) else name: tensor
        for name, tensor in load_file(path).items()
    }
    tensors[f"{old}embeddings.position_ids"] = torch.arange(positions)[None]
    save_file(tensors, path, {"format": "pt"})


def write_tokenizer(folder: Path) -> None:
    """As many tokens as CLIP has, of pairs of letters: only `vocab.json` and `merges.txt`."""
    letters = sorted(ByteLevel.alphabet())
    letters.sort(key=lambda letter: letter != PAD)  # the padding is token 0, as in the x4 upscaler
    ends = [letter + "</w>" for letter in letters]
    merges = list(islice(product(letters, ends), WORDS - len(letters) - len(ends) - 2))
    vocabulary = [*letters, *ends, *(first + second for first, second in merges), START, END]
    folder.mkdir()
    vocab = {token: number for number, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    lines = ["#version: 0.2", *(f"{first} {second}" for first, second in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines))
    special = {"bos_token": START, "eos_token": END, "pad_token": PAD, "unk_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    config = {**special, "model_max_length": TOKENS, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_schedulers(folder: Path) -> None:
    """Those of the x4 upscaler."""
    DDIMScheduler(
        **BETAS,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    DDPMScheduler(**BETAS, clip_sample=True, variance_type="fixed_small").save_pretrained(
        folder / "low_res_scheduler"
    )


def write_safety_checker(folder: Path, hidden: int, layers: int) -> None:
    """CLIP's ViT-L/14; it flags nothing, as no cosine is above 1."""
    vision = {
        "hidden_size": hidden,
        "intermediate_size": 4 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
    }
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(vision_config=vision, text_config=text, projection_dim=768)
    checker = StableDiffusionSafetyChecker(config)
    for embeds in (checker.concept_embeds, checker.special_care_embeds):
        torch.nn.init.normal_(embeds)
    save(checker, folder / "safety_checker")
    use_old_names(folder / "safety_checker", "vision_model.", "vision_model.vision_model.", 257)
    CLIPImageProcessorPil().save_pretrained(folder / "feature_extractor")


def main(
    output: Path,
    divisor: Annotated[int, typer.Option(help="For a try: 2, 4 or 8 times fewer channels.")] = 1,
    vae_only: Annotated[
        bool, typer.Option("--vae-only", help="The rest is the demo model, which is fast.")
    ] = False,
) -> None:
    """Write it to a folder that does not exist yet."""
    if vae_only:
        shutil.copytree(DEMO, output, ignore=shutil.ignore_patterns("vae"))
        write_vae(output / "vae", divisor)
    else:
        write(output, divisor)


if __name__ == "__main__":
    typer.run(main)
