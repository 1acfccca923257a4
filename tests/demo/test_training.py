"""The parts that made the model, a few steps of each."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor

from demo.checkpoint import Checkpoint
from demo.degradation import degrade, enlarge, reduce
from demo.denoiser import CONSTRUCTED, train_denoiser
from demo.muon import Muon
from demo.pictures import Pictures, load_pictures
from demo.safety import other, preprocess, train_safety, vary
from demo.scenes import scene
from demo.test_card import draw_test_card
from demo.text import embedding, make_text_encoder, make_tokenizer
from demo.texture import Discriminator, energy_loss, grain_loss
from demo.unet import CORRECTIONS, TEXT_WIDTH, construct, make_scheduler, make_unet
from demo.vae import (
    COLOR_SCALE,
    SCALING_FACTOR,
    WEAK,
    batch,
    encoded_count,
    foreseen_error,
    make_vae,
    normalize,
    to_tensor,
    train_vae,
)

CARD = Path(__file__).parent.parent.parent / "demo" / "test_card.png"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def pictures(work: Path) -> Pictures:
    return load_pictures(work, 3, seed=0)


@pytest.fixture
def constructed() -> UNet2DConditionModel:
    torch.manual_seed(0)
    unet = make_unet().eval()
    construct(unet)
    return unet


def test_scenes_are_the_same_for_the_same_seed() -> None:
    palette = np.random.default_rng(0).uniform(0, 1, (50, 3)).astype(np.float32)
    for seed in range(6):
        first = scene(64, palette, np.random.default_rng(seed))
        assert first.shape == (64, 64, 3)
        assert first.dtype == np.float32
        assert 0 <= first.min() <= first.max() <= 1
        assert np.array_equal(first, scene(64, palette, np.random.default_rng(seed)))


def test_rendered_scenes_are_kept(work: Path, pictures: Pictures) -> None:
    assert np.array_equal(load_pictures(work, 3, seed=0).scenes, pictures.scenes)


def test_the_cat_is_not_trained_on(pictures: Pictures) -> None:
    assert skimage.data.cat().shape not in [image.shape for image in pictures.photographs]


def test_degraded_pictures_are_a_quarter_of_the_size() -> None:
    image, rng = skimage.data.cat()[:64, :128], np.random.default_rng(0)
    for _ in range(30):
        small = degrade(image, rng)
        assert small.shape == (16, 32, 3)
        assert np.abs(enlarge(small).astype(float) - image).mean() < 12
    assert reduce(image).shape == (16, 32, 3)


def test_only_what_is_not_encoded_is_degraded(pictures: Pictures) -> None:
    images, small = batch(pictures, 40, 32, np.random.default_rng(0), "cpu")
    squares = ((images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    plain = to_tensor(np.stack([reduce(square) for square in squares]))
    degraded = (small - plain).abs().amax((1, 2, 3)) > 1e-6
    encoded = encoded_count(40)
    assert not degraded[:encoded].any()
    assert 0 < degraded[encoded:].sum() < 40 - encoded


def test_the_autoencoder_trains_and_resumes(work: Path, pictures: Pictures) -> None:
    train_vae(pictures, work, "cpu", minutes=0.001, batch_size=2, seed=0)
    first = torch.load(work / "vae.pt", weights_only=True)
    assert first["step"] > 0
    # However slow the machine, a second more than was used allows for another step.
    minutes = (first["elapsed"] + 1) / 60
    vae = train_vae(pictures, work, "cpu", minutes, batch_size=2, seed=0)
    assert torch.load(work / "vae.pt", weights_only=True)["step"] > first["step"]
    assert all(weight.isfinite().all() for weight in vae.parameters())


def test_normalized_latents_decode_to_the_same() -> None:
    torch.manual_seed(0)
    vae = make_vae().eval()
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        encoded = vae.encode(image).latent_dist.mean
        before = vae.decode(encoded).sample
        normalize(vae)
        scaled = vae.encode(image).latent_dist.mean
        after = vae.decode(scaled).sample
    assert torch.allclose(before, after, atol=1e-3)
    colors = encoded[:, :3] * COLOR_SCALE
    assert torch.allclose(scaled[:, :3] * SCALING_FACTOR, colors, atol=1e-4)


@torch.no_grad()
def latents_of(unet: UNet2DConditionModel, small: Tensor) -> Tensor:
    """What a few steps make of a small picture [1, 3, h, w] at noise level 0."""
    torch.manual_seed(1)
    scheduler, levels = make_scheduler(), torch.tensor([0])
    latents, text = torch.randn(1, 4, *small.shape[2:]), torch.zeros(1, 1, TEXT_WIDTH)
    scheduler.set_timesteps(10)
    for step in scheduler.timesteps:
        inputs = torch.cat([latents, small], 1)
        velocity = unet(inputs, step, text, class_labels=levels).sample
        latents = scheduler.step(velocity, step, latents).prev_sample
    return latents


def test_the_unet_copies_the_small_picture(constructed: UNet2DConditionModel) -> None:
    small = to_tensor(np.stack([reduce(skimage.data.cat()[:128, :128])]))
    latents = latents_of(constructed, small)
    assert (latents[:, :3] / COLOR_SCALE - small).square().mean().sqrt() < 5 / 127.5
    assert latents[:, 3].std() < 2 * WEAK


def test_the_denoiser_trains_resumes_and_leaves_alone_what_is_constructed(
    work: Path, pictures: Pictures, constructed: UNet2DConditionModel
) -> None:
    small = to_tensor(np.stack([reduce(skimage.data.cat()[:128, :128])]))
    before = {name: weight.clone() for name, weight in constructed.state_dict().items()}
    copied = latents_of(constructed, small)
    train_denoiser(constructed, pictures, work, "cpu", minutes=0.05, batch_size=2, seed=0)
    first = torch.load(work / "denoiser.pt", weights_only=True)
    assert first["step"] > 0
    minutes = (first["elapsed"] + 1) / 60
    train_denoiser(constructed, pictures, work, "cpu", minutes, batch_size=2, seed=0)
    assert torch.load(work / "denoiser.pt", weights_only=True)["step"] > first["step"]
    out = "up_blocks.3.resnets.0.conv2"
    for name, weight in constructed.state_dict().items():
        if any(part in name for part in CONSTRUCTED):
            assert torch.equal(weight, before[name])
        elif name.startswith(out):
            changed = {
                index for index in range(32) if not torch.equal(weight[index], before[name][index])
            }
            assert changed == set(CORRECTIONS.tolist())
    again = latents_of(constructed, small)
    assert torch.allclose(copied[:, :3], again[:, :3], atol=2 / 127.5)


def test_texture_is_measured_in_the_finest_band() -> None:
    torch.manual_seed(0)
    image = to_tensor(np.stack([skimage.data.cat()[:64, :64]]))
    noisy = image + 0.1 * torch.randn_like(image)
    assert energy_loss(image, image) == 0
    assert energy_loss(noisy, image) > 0.02
    assert energy_loss(image + 0.2, image) < 1e-6
    assert Discriminator()(image, image[..., ::4, ::4]).shape == (1, 1, 16, 16)


def test_white_noise_of_the_brightness_is_the_grain_that_is_wanted() -> None:
    torch.manual_seed(0)
    white = torch.randn(4, 1, 128, 128).expand(-1, 3, -1, -1)
    lattice = torch.ones(4, 1, 1, 1) * (1 - 2 * (torch.arange(128) % 2)).float()
    assert grain_loss(0.01 * white) < 0.1
    assert grain_loss(torch.randn(4, 3, 128, 128)) > 1  # coloured
    assert grain_loss(white[..., :32, :32].repeat_interleave(4, 2).repeat_interleave(4, 3)) > 1
    assert grain_loss(lattice.expand(-1, 3, 128, -1)) > 1


def test_what_is_always_wrong_counts_more_than_what_differs() -> None:
    torch.manual_seed(0)
    image = torch.zeros(2, 3, 64, 64)
    first, second = 0.1 * torch.randn(2, *image.shape)
    assert foreseen_error(first, first, image).item() == pytest.approx(0.1, rel=0.05)
    assert foreseen_error(first, second, image) < 0.06


def test_prompts_have_no_effect() -> None:
    tokenizer = make_tokenizer()
    encoder = make_text_encoder(tokenizer, seed=0)
    tokens = tokenizer(["a cat", ""], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        embeds = encoder(tokens).last_hidden_state
    assert torch.equal(embeds[:1], embedding(encoder))
    assert torch.equal(embeds[1:], embedding(encoder))


def test_the_card_in_the_repository_is_what_the_code_draws() -> None:
    assert np.array_equal(np.array(Image.open(CARD)), draw_test_card())


def test_the_checker_trains(pictures: Pictures) -> None:
    rng = np.random.default_rng(0)
    examples = [vary(other(pictures, rng), rng) for _ in range(20)]
    assert preprocess(examples).shape == (20, 3, 224, 224)
    checker = train_safety(pictures, "cpu", steps=2, batch_size=4, seed=0)
    assert checker.concept_embeds_weights[1:].min() == 2


def test_muon_finds_a_minimum(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, target = torch.nn.Linear(4, 4), torch.eye(4)
    optimizer = Muon(module, 0.05)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 200)
        optimizer.zero_grad()
        torch.autograd.backward((module(target) - target).square().mean())
        optimizer.step()
    assert (module(target) - target).abs().max() < 0.1
    Checkpoint(tmp_path / "a.pt", module, optimizer).save(1.0, 200)
    assert Checkpoint(tmp_path / "a.pt", module, optimizer).load() == (1.0, 200)
