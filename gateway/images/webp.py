"""WebP: the first frame."""

from gateway.images import pillow
from gateway.images.colour import Description, Profile
from gateway.images.cost import Bound
from gateway.images.exif import read_exif
from gateway.images.picture import Picture


def decode(content: bytes, bound: Bound) -> Picture:
    """Raises InvalidImage for a broken file and what `bound` raises."""
    image = pillow.open_image(content, "WEBP")
    bound(*image.size)
    colour, alpha = pillow.samples_of(image)
    orientation, colours = read_exif(image.info.get("exif", b""))
    profile = image.info.get("icc_profile")
    descriptions: list[Description] = [Profile(profile)] if profile else []
    return Picture(colour, alpha, descriptions + colours, orientation)
