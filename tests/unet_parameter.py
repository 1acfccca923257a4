"""denoise's parameter `unet`, in a copy of a repository."""

from pathlib import Path


def set_unet(repository: Path, where: str) -> None:
    """Change who runs the UNet from "denoise" to another."""
    config = repository / "denoise" / "config.pbtxt"
    text = config.read_text()
    changed = text.replace('string_value: "denoise"', f'string_value: "{where}"')
    assert changed != text
    config.write_text(changed)
