"""The safety checker that belongs to a checkpoint: its own, a named one, or the usual one."""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig

from export.errors import ExportError
from export.source import Source, find
from export.weights import Weights, weights_of

FOLDER = "safety_checker"
SMALL = ("*config.json", f"{FOLDER}/*.json", "feature_extractor/*.json")
EXTRACTORS = ("feature_extractor/preprocessor_config.json", "preprocessor_config.json")
# Of the hub's checkpoints that have it, one whose files are safetensors: the repository
# CompVis/stable-diffusion-safety-checker has a pickled file only.
USUAL = "CompVis/stable-diffusion-v1-4@133a221b8aa7292a167afc5127cb63fb5005638b"


@dataclass(frozen=True)
class SafetyChecker:
    """name: where it is from, with its commit. model: without weights. weights: where they are.

    feature_extractor_config: path of the configuration of what feeds it.
    """

    name: str
    model: StableDiffusionSafetyChecker
    weights: Weights
    feature_extractor_config: Path


def find_safety_checker(
    checkpoint: Source, wanted: str | None, variant: str | None
) -> SafetyChecker | None:
    """Look at a safety checker; of the hub only small files are brought.

    wanted: an id, an id@revision or a folder, `none` for none, or None for the checkpoint's own
    and, where it has none, USUAL. Raises ExportError when something is missing.
    """
    if wanted == "none":
        return None
    if wanted is None and any(name.startswith(f"{FOLDER}/") for name in checkpoint.sizes):
        source, name = checkpoint, "the checkpoint's own"
    else:
        source = find_named(wanted or USUAL)
        name = f"{source.name}@{source.revision}" if source.revision else source.name
    is_inside = any(path.startswith(f"{FOLDER}/") for path in source.sizes)
    subfolder = FOLDER if is_inside else ""
    extractor = next((path for path in EXTRACTORS if (source.folder / path).is_file()), None)
    if extractor is None:
        raise ExportError(
            f"The safety checker in {source.name} comes without a preprocessor_config.json."
        )
    try:
        config = CLIPConfig.from_pretrained(source.folder / subfolder, local_files_only=True)
        with torch.device("meta"):
            model = StableDiffusionSafetyChecker(config)
    except (OSError, ValueError, TypeError) as error:
        raise ExportError(
            f"{source.name} holds no StableDiffusionSafetyChecker: {error}"
        ) from error
    return SafetyChecker(
        name, model, weights_of(source, subfolder, variant), source.folder / extractor
    )


def find_named(wanted: str) -> Source:
    """A folder, or an id with or without a revision."""
    if Path(wanted).exists():
        return find(wanted, None, SMALL)
    model, _, revision = wanted.partition("@")
    return find(model, revision or None, SMALL)
