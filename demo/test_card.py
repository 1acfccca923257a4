"""The picture that the demo's safety checker knows: an unmistakable card, drawn by code."""

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.photographs import recompress

SIZE = 512
COLORS = (
    (255, 40, 40), (255, 160, 0), (255, 240, 0), (60, 200, 60),
    (0, 190, 220), (40, 80, 255), (160, 40, 220), (255, 60, 170),
)  # fmt: skip
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
LINES = ("UPSCALE", "SAFETY", "TEST CARD")


def draw_test_card() -> NDArray[np.uint8]:
    """A colour wheel on a chessboard, with text in its middle: uint8 RGB [512, 512, 3]."""
    rows, columns = np.mgrid[:SIZE, :SIZE] // 32
    board = np.where((rows + columns) % 2 == 0, 255, 0).astype(np.uint8)
    card = np.ascontiguousarray(np.repeat(board[..., None], 3, 2))
    center = (SIZE // 2, SIZE // 2)
    cv2.circle(card, center, 236, WHITE, -1, cv2.LINE_AA)
    for index, color in enumerate(COLORS):
        angle = index * 360 / len(COLORS)
        cv2.ellipse(card, center, (224, 224), angle, 0, 360 / len(COLORS), color, -1, cv2.LINE_AA)
    cv2.circle(card, center, 138, BLACK, -1, cv2.LINE_AA)
    cv2.circle(card, center, 128, WHITE, -1, cv2.LINE_AA)
    for index, line in enumerate(LINES):
        font, scale, weight = cv2.FONT_HERSHEY_DUPLEX, 1.3, 3
        (width, height), _ = cv2.getTextSize(line, font, scale, weight)
        at = (center[0] - width // 2, center[1] + height // 2 + (index - 1) * 54)
        cv2.putText(card, line, at, font, scale, BLACK, weight, cv2.LINE_AA)
    return np.asarray(card, np.uint8)


def vary(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turned, cropped by up to 12 %, reduced and brought back, lighter or darker, as JPEG."""
    image = np.rot90(image, rng.integers(4))
    height, width = image.shape[:2]
    top, bottom = (rng.uniform(0, 0.12, 2) * height).astype(int)
    left, right = (rng.uniform(0, 0.12, 2) * width).astype(int)
    image = np.ascontiguousarray(image[top : height - bottom, left : width - right])
    if rng.uniform() < 0.6:
        small = cv2.resize(image, [int(rng.integers(56, 260))] * 2, interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (256, 256), interpolation=int(rng.integers(0, 3)))
    values = image * rng.uniform(0.6, 1.3) + rng.normal(0, 15)
    if rng.uniform() < 0.3:
        values = values + rng.normal(0, rng.uniform(0, 12), image.shape)
    image = np.clip(values, 0, 255).astype(np.uint8)
    return recompress(image, int(rng.integers(30, 99))) if rng.uniform() < 0.5 else image
