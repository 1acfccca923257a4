"""The parts that made the model, a few steps of each."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from diffusers import AutoencoderKL
from PIL import Image

from demo.checkpoint import Checkpoint
from demo.decoder import SIZES, sample, train_decoder
from demo.degradation import degrade, enlarge, reduce
from demo.latents import encode, normalize
from demo.mean import load_mean, train_mean
from demo.muon import Muon
from demo.pictures import Pictures, load_pictures
from demo.safety import other, preprocess, train_safety, vary
from demo.scenes import scene
from demo.test_card import draw_test_card
from demo.text import embedding, make_text_encoder, make_tokenizer
from demo.unet import load_average, make_unet, train_unet
from demo.vae import make_vae, train_vae

CARD = Path(__file__).parent.parent.parent / "demo" / "test_card.png"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def pictures(work: Path) -> Pictures:
    return load_pictures(work, 3, seed=0)


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


def test_the_autoencoder_trains_and_resumes(work: Path, pictures: Pictures) -> None:
    train_vae(pictures, work, "cpu", minutes=0.001, batch_size=2, seed=0)
    first = torch.load(work / "vae.pt", weights_only=True)
    assert first["step"] > 0
    # However slow the machine, a second more than was used allows for another step.
    minutes = (first["elapsed"] + 1) / 60
    vae = train_vae(pictures, work, "cpu", minutes, batch_size=2, seed=0)
    assert torch.load(work / "vae.pt", weights_only=True)["step"] > first["step"]
    assert all(weight.isfinite().all() for weight in vae.parameters())


def test_normalized_latents_decode_to_the_same(pictures: Pictures) -> None:
    torch.manual_seed(0)
    vae = make_vae().eval()
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        before = vae.decode(vae.encode(image).latent_dist.mean).sample
        normalize(vae, pictures, "cpu", seed=0)
        after = vae.decode(vae.encode(image).latent_dist.mean).sample
    assert torch.allclose(before, after, atol=1e-3)


def test_mean_unet_and_decoder_train_and_resume(work: Path, pictures: Pictures) -> None:
    vae: AutoencoderKL = make_vae().eval()
    normalize(vae, pictures, "cpu", seed=0)
    latents = encode(vae, pictures, 8, "cpu", 0, work)
    assert abs(latents.latents.std().item() - 1) < 0.5
    text = embedding(make_text_encoder(make_tokenizer(), seed=0))
    weights = torch.ones(4, 1, 1)
    for minutes in (0.02, 0.05):
        mean = train_mean(latents, weights, work, "cpu", minutes, seed=0)
    assert torch.load(work / "mean.pt", weights_only=True)["elapsed"] >= 3
    images = torch.rand(1, 3, 16, 8)
    level = torch.tensor([0])
    assert torch.equal(load_mean(work)(images, level), mean(images, level))
    for minutes in (0.03, 0.15):
        train_unet(latents, text, mean, weights, work, "cpu", minutes, batch_size=4, seed=0)
    assert torch.load(work / "unet.pt", weights_only=True)["elapsed"] >= 9
    assert all(weight.isfinite().all() for weight in load_average(work).parameters())
    samples = sample(make_unet(), text, latents, 1, "cpu", seed=0)
    assert [samples[size][2].shape[2] for size in SIZES] == [4 * size for size in SIZES]
    train_decoder(vae, samples, work, "cpu", minutes=0.05, seed=0)
    assert torch.load(work / "decoder.pt", weights_only=True)["step"] > 0


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
