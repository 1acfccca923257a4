"""The two facts of EXIF that change how a picture looks."""

import logging
import struct

from gateway.images.colour import ADOBE_RGB, Description
from gateway.images.directory import (
    EXIF,
    INTEROPERABILITY,
    ORIENTATION,
    Directory,
    first_directory,
)

logger = logging.getLogger("gateway")

INTEROPERABILITY_INDEX = 1
ADOBE_RGB_INDEX = b"R03"  # DCF 2.0's "optional file"


def orientation_of(directory: Directory) -> int:
    """1 to 8; 1, as stored, when none is given or it is another number."""
    orientation = directory.number(ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1


def read_exif(exif: bytes) -> tuple[int, list[Description]]:
    """EXIF with or without its first six bytes -> orientation, colours by interoperability index.

    EXIF that is broken, as cameras and editors make it, is left aside: the pixels are there.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    if not exif:
        return 1, []
    try:
        directory = first_directory(exif)
        return orientation_of(directory), _interoperability(exif, directory)
    except struct.error as error:
        logger.info("unreadable EXIF was left aside: %s", error)
        return 1, []


def _interoperability(exif: bytes, directory: Directory) -> list[Description]:
    order = "<" if exif.startswith(b"II") else ">"
    for tag in (EXIF, INTEROPERABILITY):
        place = directory.number(tag, 0)
        if not place:
            return []
        directory = Directory(exif, order, place)
    found = directory.data(INTEROPERABILITY_INDEX).startswith(ADOBE_RGB_INDEX)
    return [ADOBE_RGB] if found else []
