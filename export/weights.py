"""Which files of a checkpoint are the weights of a network."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from export.errors import ExportError
from export.source import Source

SAFETENSORS = re.compile(
    r"(?:diffusion_pytorch_)?model(?:\.(?P<variant>\w+))?(?:-\d+-of-\d+)?\.safetensors"
)
PICKLED = re.compile(r"(?:diffusion_)?pytorch_model.*\.(?:bin|pt|pth|ckpt)")


@dataclass(frozen=True)
class Weights:
    """The files of one network.

    subfolder: theirs in the source, "" for none. variant: diffusers' word for the part of their
    names between dots, like fp16; None for files without one.
    """

    source: Source
    subfolder: str
    variant: str | None
    files: tuple[str, ...]

    def parameters(self) -> int:
        """How many numbers they hold; none of them is brought for it."""
        return sum(map(self.source.parameters, self.files))

    def missing_bytes(self) -> int:
        """What has yet to be downloaded."""
        return sum(self.source.sizes[name] for name in self.source.missing(self.files))


def weights_of(source: Source, subfolder: str, variant: str | None) -> Weights:
    """A network's files: those of the variant where it has some, else those without one.

    Raises ExportError where there are only others, and says what to do.
    """
    prefix = f"{subfolder}/" if subfolder else ""
    inside = [name.removeprefix(prefix) for name in source.sizes if name.startswith(prefix)]
    by_variant: dict[str | None, list[str]] = {}
    for name in sorted(inside):
        if match := SAFETENSORS.fullmatch(name):
            by_variant.setdefault(match["variant"], []).append(prefix + name)
    for wanted in (variant, None):
        if wanted in by_variant:
            return Weights(source, subfolder, wanted, tuple(by_variant[wanted]))
    where = f"{source.name} has the weights of {subfolder or 'the safety checker'}"
    if by_variant:
        variants = sorted(filter(None, by_variant))
        raise ExportError(f"{where} only as {', '.join(variants)}: add --variant {variants[0]}.")
    if pickled := [name for name in inside if PICKLED.fullmatch(name)]:
        raise ExportError(
            f"{where} only as {pickled[0]}, a format that runs code when it is read, so it is not"
            " read. The hub has a space that makes safetensors of it,"
            " https://huggingface.co/spaces/safetensors/convert; or, where you trust the file, load"
            " the model in diffusers with use_safetensors=False, save_pretrained() it to a folder"
            " and name that."
        )
    raise ExportError(
        f"{source.name} has no weights in {prefix or 'its folder'}: no"
        f" {prefix}model.safetensors and no {prefix}diffusion_pytorch_model.safetensors."
    )


def refuse_unknown_variant(variant: str | None, found: Iterable[Weights]) -> None:
    """Raise ExportError for a variant that no network has: it would be without effect."""
    found = list(found)
    if variant is None or any(weights.variant == variant for weights in found):
        return
    raise ExportError(
        f"{found[0].source.name} has no weights of the variant {variant!r}; leave --variant out."
    )
