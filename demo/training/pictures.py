"""The pool of training pictures: rendered scenes and three photographs, at several scales."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from rich.progress import track

from demo.photographs import TRAINED_ON
from demo.training.scenes import chance, scene

SCENE_SIZE = 256
PHOTOGRAPH_SHARE = 0.65


@dataclass(frozen=True)
class Pictures:
    """uint8 RGB: photographs [H, W, 3] of different sizes, scenes [N, 256, 256, 3]."""

    photographs: list[NDArray[np.uint8]]
    scenes: NDArray[np.uint8]

    def all(self) -> list[NDArray[np.uint8]]:
        return [*self.photographs, *self.scenes]


def load_pictures(cache: Path, count: int, seed: int) -> Pictures:
    """The pool; scenes are rendered once and kept in `cache`."""
    photographs = scaled_photographs()
    path = cache / f"scenes-{count}-{seed}.npy"
    if not path.exists():
        np.save(path, render(photographs, count, seed))
    return Pictures(photographs, np.load(path, mmap_mode="r"))


def scaled_photographs() -> list[NDArray[np.uint8]]:
    """Every training photograph at full size, 0.7 and 0.5 of it."""
    return [
        cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for image in (getattr(skimage.data, name)() for name in TRAINED_ON)
        for scale in (1.0, 0.7, 0.5)
    ]


def render(photographs: list[NDArray[np.uint8]], count: int, seed: int) -> NDArray[np.uint8]:
    """Scenes in the photographs' colours."""
    rng = np.random.default_rng(seed)
    palette = np.concatenate([image.reshape(-1, 3)[::97] for image in photographs]) / 255
    images = [
        scene(SCENE_SIZE, palette.astype(np.float32), rng) for _ in track(range(count), "scenes")
    ]
    return (np.stack(images) * 255).round().astype(np.uint8)


def crops(
    pictures: Pictures, count: int, size: int, multiple: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Random squares at multiples of `multiple`, turned, mirrored and recoloured.

    Returns [count, size, size, 3].
    """
    squares = []
    for _ in range(count):
        picture = choose(pictures, size, rng)
        top, left = (int(rng.integers((n - size) // multiple + 1)) for n in picture.shape[:2])
        square = picture[top * multiple :, left * multiple :][:size, :size]
        square = np.rot90(square[:, :: rng.choice([-1, 1])], rng.integers(4))
        squares.append(recolored(square, rng))
    return np.stack(squares)


def choose(pictures: Pictures, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture: a scene or a photograph that is no smaller than `size`."""
    if chance(rng, PHOTOGRAPH_SHARE):
        fitting = [image for image in pictures.photographs if min(image.shape[:2]) >= size]
        return fitting[rng.integers(len(fitting))]
    return np.asarray(pictures.scenes[rng.integers(len(pictures.scenes))])


def recolored(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture with its channels exchanged or under another light, or as it is."""
    if chance(rng, 0.4):
        image = image[..., rng.permutation(3)]
    if chance(rng, 0.5):
        image = tone_curve(rng)[image]
    if chance(rng, 0.2):
        curves = [tone_curve(rng) for _ in range(3)]
        image = np.stack([curve[image[..., i]] for i, curve in enumerate(curves)], -1)
    return np.asarray(image, np.uint8)


def tone_curve(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A table of 256 values: a gamma, a gain and, for one in two, less contrast."""
    values = rng.uniform(0.8, 1.1) * np.linspace(0, 1, 256) ** np.exp(rng.normal(0, 0.25))
    contrast = rng.uniform(0.3, 1) if chance(rng, 0.5) else 1.0
    values = 0.5 + contrast * (values - 0.5)
    return np.asarray((np.clip(values, 0, 1) * 255).round(), np.uint8)
