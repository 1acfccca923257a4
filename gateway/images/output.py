"""How a result leaves the server: its format, its size, what is behind it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.images import vips
from gateway.images.alpha import enlarged, matte
from gateway.images.read import Upright
from gateway.images.write import OutputFormat, write_image

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Output:
    """width, height: of the result, pixels. alpha: of the image, uint8 [H, W]; None: opaque."""

    format: OutputFormat
    width: int
    height: int
    alpha: NDArray[np.uint8] | None = None

    def file_of(self, picture: NDArray[np.uint8]) -> bytes:
        """RGB uint8 [4 H, 4 W, 3] -> a file. Takes time and lets go of the GIL: use a thread."""
        height, width = picture.shape[:2]
        alpha = None if self.alpha is None else enlarged(self.alpha, height, width)
        if (self.width, self.height) != (width, height):
            picture, alpha = vips.reduced(picture, alpha, self.width, self.height)
        if alpha is not None:
            picture = np.dstack([picture, alpha])
        return write_image(picture, self.format)


def seen(
    picture: Upright, output_format: OutputFormat, background: Colour | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """What the model is shown of a picture, RGB [H, W, 3], and the alpha that is kept beside it.

    A JPEG keeps none, nor does a picture that is given a background.
    """
    if picture.is_opaque:
        return np.ascontiguousarray(picture.colour), None
    if background is not None or output_format == "jpeg":
        return picture.on(background or WHITE), None
    assert picture.alpha is not None
    return matte(picture.colour, picture.alpha), picture.alpha
