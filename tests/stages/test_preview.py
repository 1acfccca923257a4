"""A preview is the convolution in the file, as pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.preview import Preview


@pytest.mark.parametrize("scale", [1, 2])
def test_pixels_are_drawn_in_their_order_and_clamped(tmp_path: Path, scale: int) -> None:
    rows = 3 * scale**2
    weights = np.zeros((rows, 4 * 3 * 3 + 1), np.float32)
    weights[:, 4] = 1  # the middle of the first channel
    weights[:, -1] = np.linspace(-1, 1, rows)
    np.save(tmp_path / "preview.npy", weights)
    latents = torch.zeros(1, 4, 2, 3)
    latents[0, 0, 1, 2] = 9
    drawn = Preview(tmp_path / "preview.npy").draw(latents)
    assert drawn.shape == (2 * scale, 3 * scale, 3)
    values = ((np.linspace(-1, 1, rows) + 1) * 127.5).round().astype(np.uint8)
    expected = values.reshape(3, scale, scale).transpose(1, 2, 0)
    assert np.array_equal(drawn[:scale, :scale], expected)
    assert (drawn[-scale:, -scale:] == 255).all()
