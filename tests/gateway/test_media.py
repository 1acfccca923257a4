import base64

import numpy as np

from gateway.media import data_url, encode_png
from tests.photographs import photograph, pixels_of


def test_png_keeps_every_pixel() -> None:
    image = np.asarray(photograph("rocket", 65, 33))
    assert np.array_equal(pixels_of(encode_png(image)), image)


def test_data_url_is_base64() -> None:
    prefix, content = data_url(b"\x89PNG").split(",")
    assert prefix == "data:image/png;base64"
    assert base64.b64decode(content) == b"\x89PNG"
