"""Training pictures made by code, with the statistics of photographs.

Dead leaves (Lee, Mumford, Huang: Occlusion Models for Natural Images, 2001) give edges at every
scale, fractal noise gives a 1/f spectrum, strokes give hair and grass, and type and line art give
what cameras rarely see. Colours are taken from a palette of photographs.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]  # RGB, [H, W, 3], 0..1
SUPERSAMPLING = 2


def scene(size: int, palette: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """One random picture [size, size, 3]; palette: colours to choose from, [N, 3]."""
    paint: Callable[..., Image] = rng.choice(
        np.array([dead_leaves, strokes, type_page, line_art, fractal_scene], dtype=object),
        p=[0.4, 0.25, 0.1, 0.1, 0.15],
    )
    image = paint(size * SUPERSAMPLING, natural(palette, rng), rng)
    image = image * illumination(size * SUPERSAMPLING, rng)
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(image, 0, 1), np.float32)


def chance(rng: np.random.Generator, share: float) -> bool:
    """True so often; share: 0..1."""
    return bool(rng.uniform() < share)


def natural(palette: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The palette under another light: channels exchanged, mostly less saturated."""
    mixed = palette[:, rng.permutation(3)] if chance(rng, 0.6) else palette
    grey = mixed.mean(1, keepdims=True)
    return np.asarray(grey + (mixed - grey) * rng.uniform(0.1, 0.9), np.float32)


def color(palette: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A colour of the palette, slightly changed, [3]."""
    chosen = palette[rng.integers(len(palette))] + rng.normal(0, 0.03, 3)
    return np.asarray(np.clip(chosen, 0, 1), np.float32)


def fractal(size: int, rng: np.random.Generator, exponent: float) -> NDArray[np.float32]:
    """Noise whose amplitude falls with frequency to this exponent; [size, size], std 1."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / frequency**exponent
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (size, size))
    return np.asarray(noise / noise.std(), np.float32)


def illumination(size: int, rng: np.random.Generator) -> Image:
    """Slow changes of brightness, [size, size, 1]."""
    shade = 1 + rng.uniform(0, 0.2) * fractal(size, rng, 2.5)
    return np.clip(shade, 0.4, 1.5)[..., None]


def textured(
    size: int, palette: NDArray[np.float32], rng: np.random.Generator, strength: float
) -> Image:
    """Two colours mixed by fractal noise, [size, size, 3]."""
    first, second = color(palette, rng), color(palette, rng)
    noise = fractal(size, rng, rng.uniform(0.8, 2.0))[..., None]
    mixed = first + (second - first) * strength * (noise + rng.uniform(-1, 1))
    return np.asarray(mixed, np.float32)


def fractal_scene(size: int, palette: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """Clouds, stone, foliage: textures of different roughness joined along fractal borders."""
    image = textured(size, palette, rng, 0.3)
    for _ in range(rng.integers(1, 5)):
        mask = fractal(size, rng, rng.uniform(1.2, 2.2)) > rng.uniform(-0.5, 1.0)
        image[mask] = textured(size, palette, rng, rng.uniform(0.1, 0.5))[mask]
    return image


def dead_leaves(size: int, palette: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """Discs, boxes and polygons of all sizes that hide one another, many of them textured."""
    image = textured(size, palette, rng, 0.2)
    textures = [textured(size, palette, rng, rng.uniform(0.05, 0.4)) for _ in range(6)]
    smallest, largest = 4.0, size / 2.5
    for _ in range(rng.integers(60, 400)):
        # A cubic law of radii makes the picture look alike at every scale.
        u = rng.uniform()
        radius = 1 / np.sqrt(u / largest**2 + (1 - u) / smallest**2)
        mask = np.zeros((size, size), np.uint8)
        center = rng.uniform(0, size, 2)
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        if chance(rng, 0.5):
            axes = (int(radius), max(1, int(radius * rng.uniform(0.3, 1))))
            cv2.ellipse(mask, center.astype(int).tolist(), axes, rng.uniform(0, 180), 0, 360, 1, -1)
        else:
            corners = center + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
            cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
        covered = mask.astype(bool)
        if chance(rng, 0.5):
            image[covered] = textures[rng.integers(len(textures))][covered]
        else:
            image[covered] = color(palette, rng)
    return image


def strokes(size: int, palette: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """Hair, fur or grass: short curved lines along a smooth field of directions."""
    image = np.ascontiguousarray(textured(size, palette, rng, 0.3))
    direction = fractal(size, rng, 2.5) * rng.uniform(0.2, 1.2) + rng.uniform(0, np.pi)
    base, length = textured(size, palette, rng, 0.15), rng.uniform(10, 50)
    for _ in range(rng.integers(2000, 5000)):
        point = rng.uniform(0, size, 2)
        tone = base[int(point[1]), int(point[0])] + rng.normal(0, rng.uniform(0.03, 0.12))
        points = [point]
        for _ in range(5):
            x, y = np.clip(points[-1], 0, size - 1).astype(int)
            angle = direction[y, x] + rng.normal(0, 0.1)
            step = np.array([np.cos(angle), np.sin(angle)]) * length / 5
            points.append(points[-1] + step)
        line = np.array(points, np.int32)
        cv2.polylines(image, [line], False, tone.tolist(), int(rng.integers(1, 4)), cv2.LINE_AA)
    return image


def type_page(size: int, palette: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """Lines of letters in several sizes and strengths."""
    image = np.ascontiguousarray(textured(size, palette, rng, rng.choice([0.0, 0.1])))
    ink = 1 - image.mean((0, 1)) if chance(rng, 0.7) else color(palette, rng)
    y = 0.0
    while y < size:
        height = rng.uniform(14, 70)
        y += height * 1.4
        letters = "".join(chr(rng.integers(33, 123)) for _ in range(40))
        font, weight = int(rng.integers(0, 5)), max(1, int(height / rng.uniform(6, 14)))
        at = (int(rng.uniform(-40, 20)), int(y))
        cv2.putText(image, letters, at, font, height / 28, ink.tolist(), weight, cv2.LINE_AA)
    return image


def line_art(size: int, palette: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """Gradients behind lines, circles and gratings."""
    ramp = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    ends = color(palette, rng), color(palette, rng)
    image = np.ascontiguousarray(np.tile(ends[0] + (ends[1] - ends[0]) * ramp, (1, size, 1)))
    for _ in range(rng.integers(10, 60)):
        ink, width = color(palette, rng).tolist(), int(rng.integers(1, 9))
        first, second = rng.integers(0, size, (2, 2)).tolist()
        kind = rng.integers(3)
        if kind == 0:
            cv2.line(image, first, second, ink, width, cv2.LINE_AA)
        elif kind == 1:
            radius = int(rng.integers(4, size // 3))
            cv2.circle(image, first, radius, ink, width, cv2.LINE_AA)
        else:
            period = int(rng.integers(8, 40))
            for offset in range(0, 12 * period, period):
                start = [first[0] + offset, first[1]]
                end = [first[0] + offset, first[1] + int(rng.integers(40, 200))]
                cv2.line(image, start, end, ink, max(1, period // 4), cv2.LINE_AA)
    return image
