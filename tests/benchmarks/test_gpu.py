"""The sums of the comparison on a GPU; no contender runs here."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from benchmarks.contenders import Load, Result, Task
from benchmarks.full_size import unet_config, vae_config
from benchmarks.gpu import rows_of, teraflop

PICTURE = np.zeros((4, 4, 3), np.uint8)


def test_one_image_of_the_full_size_takes_173_teraflop(tmp_path: Path) -> None:
    """75 steps with guidance: 150 rows of 1.131 and a decoding of 3.095."""
    with torch.device("meta"):
        UNet2DConditionModel(**unet_config()).save_config(tmp_path / "unet")
        AutoencoderKL(**vae_config()).save_config(tmp_path / "vae")
    task = Task(tmp_path, tmp_path, 128, 75, 1, guidance_scale=9.0, noise_level=20)
    assert teraflop(task) == pytest.approx(150 * 1.131 + 3.095, rel=1e-3)
    unguided = Task(tmp_path, tmp_path, 128, 75, 1, guidance_scale=1.0, noise_level=20)
    assert teraflop(unguided) == pytest.approx(75 * 1.131 + 3.095, rel=1e-3)


def test_turns_are_taken_together() -> None:
    turns = [
        Result(PICTURE, 9.0, 10.0, {1: Load([1.0], 1.0), 2: Load([1.0, 3.0], 3.0)}, None),
        Result(PICTURE, 7.0, 20.0, {1: Load([3.0], 3.0), 2: Load([2.0, 2.0], 2.0)}, 10**9),
    ]
    one, two = rows_of("ours", turns, limit_s=0.25)
    assert (one.concurrency, one.p50_s, one.images_per_s) == (1, 2.0, 2 / 4)
    assert (two.concurrency, two.p50_s, two.images_per_s) == (2, 2.0, 4 / 5)
    assert two.share_of_limit == pytest.approx(0.2)
    assert (two.first_s, two.step_ms, two.peak_memory_gb) == (9.0, 15.0, 1.0)
