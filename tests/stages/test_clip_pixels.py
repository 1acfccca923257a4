"""What the safety checker gets to see, against transformers."""

import json
from pathlib import Path

import numpy as np
import pytest
from transformers import CLIPImageProcessorPil

from stages.clip_pixels import ClipPixels
from tests.photographs import photograph


@pytest.mark.parametrize("size", [(224, 224), (300, 500), (64, 256), (257, 131)])
def test_clip_pixels_are_those_of_the_processor(tmp_path: Path, size: tuple[int, int]) -> None:
    processor = CLIPImageProcessorPil()
    processor.save_pretrained(tmp_path)
    image = photograph("coffee", *size)
    expected = processor(image, return_tensors="np")["pixel_values"][0]
    actual = ClipPixels.from_file(tmp_path / "preprocessor_config.json")(np.asarray(image))
    assert actual.shape == (3, 224, 224)
    assert np.abs(actual - expected).max() < 1e-5


def test_old_preprocessor_configs_have_plain_sizes(tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    mean = [0.5, 0.5, 0.5]
    config = {"size": 224, "crop_size": 224, "image_mean": mean, "image_std": mean}
    path.write_text(json.dumps(config))
    assert ClipPixels.from_file(path).size == 224


@pytest.mark.parametrize("size", [(4, 400_000), (300_000, 8)])
def test_a_long_thin_image_is_looked_at_in_the_middle(size: tuple[int, int]) -> None:
    pixels = ClipPixels(size=224, crop=224, mean=(0, 0, 0), std=(1, 1, 1))
    image = np.zeros((*size, 3), np.uint8)
    long = int(np.argmax(size))
    np.moveaxis(image, long, 0)[size[long] // 2 - 10 : size[long] // 2 + 10] = 255
    assert pixels(image).min() > 0.99
