"""Feed read_image with what Atheris makes of a corpus; see test_fuzz.py.

https://github.com/google/atheris
"""

import logging
import sys
import warnings

import atheris

with atheris.instrument_imports(include=["PIL", "gateway.images", "pi_heif"]):
    from gateway.errors import InvalidImage
    from gateway.images.read import read_image

MAX_PIXELS = 2**16


def test_one_input(content: bytes) -> None:
    """Pixels or InvalidImage; anything else ends the run with a status that is not 0."""
    try:
        pixels = read_image(content, MAX_PIXELS)
    except InvalidImage:
        return
    assert pixels.ndim == 3
    assert pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
