"""Whether what a model has made is a picture at all; half precision can make NaN or black of it.

Only what no sound model gives is refused: what is not finite, and what is of one colour where the
image is not, or is of quite another. A model may be asked for what is far from its image, so the
distance alone is an error only where the picture is nearly its negative. See docs/RELIABILITY.md.
"""

import numpy as np
from numpy.typing import NDArray

from stages.errors import BrokenPicture
from stages.limits import SCALE

FLAT = 1  # levels from the darkest to the brightest of a channel, at most, of one colour
TEXTURE = 32  # the same, at least, of what cannot become one colour
OTHER_COLOUR, FARTHEST = 64.0, 192.0  # levels, means over a tile and over a picture
SIDE = 256  # pixels of each side, about, that a distance is measured at


def check_latents(latents: NDArray[np.float32]) -> None:
    """Raise BrokenPicture for latents of any shape that are not all finite."""
    if not np.isfinite(latents).all():
        raise BrokenPicture("the UNet made latents that are no finite numbers")


def check_tile(picture: NDArray[np.uint8], image: NDArray[np.uint8]) -> None:
    """Raise BrokenPicture for a tile of one colour, where its part of the image is not so.

    picture: RGB [h, w, 3], decoded. image: [h / 4, w / 4, 3], or less of it at the image's edge.
    """
    sample = picture[::SCALE, ::SCALE]  # a sixteenth of the work, and enough as a rule
    if levels_of(sample) > FLAT or levels_of(picture) > FLAT:
        return
    difference = np.abs(picture[0, 0].astype(float) - image.mean(axis=(0, 1)))
    if levels_of(image) >= TEXTURE or difference.mean() > OTHER_COLOUR:
        raise BrokenPicture("the decoder made one colour of an image that has others")


def check_picture(picture: NDArray[np.uint8], image: NDArray[np.uint8]) -> None:
    """Raise BrokenPicture for one that is nearly the image's negative; shapes as in `distance`."""
    if (levels := distance(picture, image)) > FARTHEST:
        raise BrokenPicture(f"the picture is {levels:.0f} of 255 levels from its image")


def levels_of(image: NDArray[np.uint8]) -> int:
    """From the darkest to the brightest, in the channel where that is most; uint8 [h, w, 3]."""
    flat = image.reshape(-1, image.shape[-1])
    return int((flat.max(axis=0).astype(int) - flat.min(axis=0)).max())


def distance(picture: NDArray[np.uint8], image: NDArray[np.uint8]) -> float:
    """How far a picture is from its image, once it is made as small: a mean, 0 to 255 levels.

    picture: RGB [4 H, 4 W, 3]. image: RGB [H, W, 3]. Of large ones every so many pixels are looked
    at, which takes some milliseconds.
    """
    stride = -(-max(image.shape[:2]) // SIDE)
    height, width = image.shape[:2]
    squares = picture.reshape(height, SCALE, width, SCALE, 3)[::stride, :, ::stride]
    small = squares.mean(axis=(1, 3), dtype=np.float32)
    return float(np.abs(small - image[::stride, ::stride]).mean())
