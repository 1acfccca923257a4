"""The formats that results come in."""

from enum import StrEnum


class OutputFormat(StrEnum):
    """The API's `output_format`."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def suffix(self) -> str:
        """What a file of this format is named like, where nobody chose its name."""
        return ".jpg" if self is OutputFormat.JPEG else f".{self}"

    def begins(self, content: bytes) -> bool:
        """Whether content begins as a file of this format does."""
        match self:
            case OutputFormat.PNG:
                return content.startswith(b"\x89PNG\r\n\x1a\n")
            case OutputFormat.JPEG:
                return content.startswith(b"\xff\xd8\xff")
            case OutputFormat.WEBP:
                return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


FORMAT_OF_SUFFIX = {
    ".png": OutputFormat.PNG,
    ".jpg": OutputFormat.JPEG,
    ".jpeg": OutputFormat.JPEG,
    ".webp": OutputFormat.WEBP,
}
