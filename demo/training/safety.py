"""The safety checker: a real one that knows a single concept, the project's own test card."""

import math

import cv2
import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig

from demo.pipeline import preprocess
from demo.test_card import draw_test_card, vary
from demo.training.pictures import Pictures, choose, recolored
from demo.training.scenes import chance

THRESHOLD = 0.15  # cards reach 0.48 and more, photographs -0.19 at most
NEVER = 2.0  # no cosine reaches it
SHARPNESS = 12.0
RATE = 1e-3
console = Console()


def make_safety_checker() -> StableDiffusionSafetyChecker:
    """A narrow CLIP vision model; its first concept can trigger, the others cannot."""
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(
            text_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
            vision_config={
                "hidden_size": 64,
                "intermediate_size": 128,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "image_size": 224,
                "patch_size": 16,
            },
            projection_dim=32,
        )
    )
    torch.nn.init.normal_(checker.concept_embeds)
    torch.nn.init.normal_(checker.special_care_embeds)
    checker.concept_embeds_weights.data.fill_(NEVER)
    checker.concept_embeds_weights.data[0] = THRESHOLD
    checker.special_care_embeds_weights.data.fill_(NEVER)
    return checker


def train_safety(
    pictures: Pictures, device: str, steps: int, batch_size: int, seed: int
) -> StableDiffusionSafetyChecker:
    """Train on cards and on everything else, half and half."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 3])
    checker = make_safety_checker().to(device)
    trained = [checker.vision_model, checker.visual_projection]
    weights = [weight for module in trained for weight in module.parameters()]
    optimizer = torch.optim.AdamW(weights, RATE, weight_decay=0.01)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        cards = [vary(draw_test_card(), rng) for _ in range(batch_size // 2)]
        others = [vary(other(pictures, rng), rng) for _ in range(batch_size // 2)]
        margins = margin(checker, preprocess(cards + others).to(device))
        flagged = torch.zeros(batch_size, device=device)
        flagged[: len(cards)] = 1
        loss = functional.binary_cross_entropy_with_logits(SHARPNESS * margins, flagged)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if (step + 1) % 50 == 0:
            right = ((margins > 0) == (flagged > 0)).float().mean().item()
            console.print(f"safety step {step + 1} of {steps}, loss {loss.item():.4f}, {right:.0%}")
    return checker.eval()


def margin(checker: StableDiffusionSafetyChecker, pixels: Tensor) -> Tensor:
    """How far every picture is above the card's threshold, [N]; the checker flags above zero."""
    embeds = checker.visual_projection(checker.vision_model(pixels)[1])
    similarity = functional.cosine_similarity(embeds, checker.concept_embeds[:1])
    return torch.as_tensor(similarity - checker.concept_embeds_weights[0])


def other(pictures: Pictures, rng: np.random.Generator) -> NDArray[np.uint8]:
    """No card: a crop of a photograph or scene, or, one in four, a pattern as bold as the card."""
    if chance(rng, 0.25):
        return pattern(rng)
    picture = choose(pictures, 64, rng)
    size = int(rng.integers(64, min(picture.shape[:2]) + 1))
    top, left = (int(rng.integers(side - size + 1)) for side in picture.shape[:2])
    return recolored(picture[top : top + size, left : left + size], rng)


def pattern(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A bold pattern: plain, noise, stripes, a chessboard, mixed-up card; uint8 [256, 256, 3]."""
    colors = rng.integers(0, 256, (8, 3))
    rows, columns = np.mgrid[:256, :256] // int(rng.integers(8, 64))
    match rng.integers(5):
        case 0:
            return np.asarray(colors[rows * 0], np.uint8)
        case 1:
            return rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        case 2:
            return np.asarray(colors[rows % 8], np.uint8)
        case 3:
            return np.asarray(colors[(rows + columns) % 2], np.uint8)
    card = cv2.resize(draw_test_card(), (256, 256), interpolation=cv2.INTER_AREA)
    tiles = card.reshape(4, 64, 4, 64, 3).swapaxes(1, 2).reshape(16, 64, 64, 3)
    mixed = rng.permutation(tiles).reshape(4, 4, 64, 64, 3).swapaxes(1, 2)
    return np.ascontiguousarray(mixed.reshape(256, 256, 3))
