"""Assemble a Triton model repository from a checkpoint: sources, engines, manifest."""

import gc
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from rich.filesize import decimal
from rich.progress import Progress
from tokenizers import Tokenizer

from export.building import building
from export.checkpoint import Checkpoint
from export.engine_choice import Choice, Engine, has_gpu
from export.engine_file import describe_engine, fit_config, write_engine
from export.exactness import CHECK_SIZES, check_error
from export.manifest import sums_of, tool_versions
from export.networks import Network, networks_of
from export.precision import Precision
from export.preview import write_preview
from export.schedules import write_schedules
from export.size import size_of
from export.triton_config import read_config, write_config
from stages.gpu_memory import decoder_tiles
from stages.machine import MANIFEST
from stages.schedulers import schedulers_text
from stages.step_cache import step_cache_text

ROOT = Path(__file__).parents[1]
SOURCES, STAGES = ROOT / "model_repository", ROOT / "stages"
OPTIONAL = ("safety_checker", "unet_shallow")
COMPILED = shutil.ignore_patterns("__pycache__")
AOTI_MODEL = ROOT / "export" / "aoti_model.py"


def export_repository(
    checkpoint: Checkpoint,
    output: Path,
    progress: Progress,
    choices: dict[str, Choice] | None = None,
    command: str = "upscale export",
) -> None:
    """Write a repository to `output`, which must not exist.

    It is built beside `output` and renamed, so that a half-written one never serves.
    choices: by network; the rest is ONNX in fp32. command: makes this repository again.
    Raises ExportError when an engine cannot be made, or is less exact than its tolerance.
    """
    with building(output) as folder:
        copy_sources(checkpoint, folder)
        limit_vae_batches(checkpoint, folder, memory_of_gpu())
        engines = export_engines(checkpoint, folder, progress, choices or {})
        write_stage_files(checkpoint, folder)
        write_manifest(checkpoint, folder, engines, command)


def copy_sources(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy the models that this checkpoint has, and stages/ into those in Python."""
    served = {network.name for network in networks_of(checkpoint)}
    for source in sorted(path for path in SOURCES.iterdir() if path.is_dir()):
        if source.name in OPTIONAL and source.name not in served:
            continue
        shutil.copytree(source, folder / source.name, ignore=COMPILED)
        version_folder = folder / source.name / "1"
        version_folder.mkdir(exist_ok=True)  # Triton asks for a version of all
        if (version_folder / "model.py").is_file():
            shutil.copytree(STAGES, version_folder / "stages", ignore=COMPILED)


def add_aoti_model(version_folder: Path) -> None:
    """Beside a package of AOTInductor the Python model that runs it, in any Triton."""
    shutil.copyfile(AOTI_MODEL, version_folder / "model.py")
    shutil.copytree(STAGES, version_folder / "stages", ignore=COMPILED)


def export_engines(
    checkpoint: Checkpoint, folder: Path, progress: Progress, choices: dict[str, Choice]
) -> dict[str, dict[str, object]]:
    """Write and check every engine; returns what the manifest says of each, by name.

    One network is in memory at a time. progress: is in bytes of the networks in float32.
    """
    networks = networks_of(checkpoint)
    sizes = {network.name: size_of(checkpoint, network, Precision.FP32) for network in networks}
    task = progress.add_task("export", total=sum(sizes.values()))
    manifest = {}
    for network in networks:
        choice = choices.get(network.name, Choice())
        doing = f"{network.name}: {choice.engine} {choice.precision}"
        progress.update(task, description=doing)
        if not progress.console.is_terminal:  # where bars are not drawn
            progress.console.print(f"{doing}, {decimal(sizes[network.name])} in float32 ...")
        manifest[network.name] = export_engine(network, choice, checkpoint, folder)
        gc.collect()  # the exporter's graphs refer to each other, and to all weights
        progress.update(task, advance=sizes[network.name])
        progress.console.print(
            f"{doing}, largest error against PyTorch {manifest[network.name]['error']:.1e} (allowed"
            f" {manifest[network.name]['tolerance']:.0e}), at {len(CHECK_SIZES)} sizes"
            f" on {'a GPU' if manifest[network.name]['verified_on'] == 'cuda' else 'the CPU'}"
        )
    progress.update(task, description="done")
    return manifest


def export_engine(
    network: Network, choice: Choice, checkpoint: Checkpoint, folder: Path
) -> dict[str, object]:
    """Write and check one; what it takes is gone when this returns."""
    config = folder / network.name / "config.pbtxt"
    written = write_engine(
        network,
        choice,
        network.module(checkpoint).eval().requires_grad_(False),
        checkpoint,
        folder / network.name / "1",
        read_config(config).max_batch_size,
    )
    check_error(network, choice.precision, written.measured.error)
    fit_config(config, network, choice, written)
    if choice.engine is Engine.AOTI:
        add_aoti_model(config.parent / "1")
    return describe_engine(choice, written, network.tolerance_in(choice.precision))


def write_stage_files(checkpoint: Checkpoint, folder: Path) -> None:
    """What the Python stages read: tokenizer, schedules, preprocessing, parameters."""
    pipeline = checkpoint.pipeline
    write_tokenizer(checkpoint, folder / "encode" / "1" / "tokenizer.json")
    denoise = folder / "denoise" / "1"
    schedulers = {it.name: scheduler for it, scheduler in checkpoint.schedulers.items()}
    write_schedules(schedulers, pipeline.low_res_scheduler, denoise)
    write_preview(checkpoint.load("vae"), denoise / "preview.npy")
    if checkpoint.feature_extractor_config is not None:
        target = folder / "decode" / "1" / "preprocessor_config.json"
        shutil.copyfile(checkpoint.feature_extractor_config, target)
    embeds = [pipeline.tokenizer.model_max_length, pipeline.unet.config.cross_attention_dim]
    for name in ("upscale", "encode", "denoise", "decode"):
        path = folder / name / "config.pbtxt"
        config = read_config(path)
        for tensor in [*config.input, *config.output]:
            if tensor.name.endswith("prompt_embeds"):  # so that Triton refuses any other shape
                tensor.dims[:] = embeds
        for key, value in served_parameters(checkpoint).items():
            config.parameters[key].string_value = value
        write_config(path, config)


def memory_of_gpu() -> int | None:
    """Bytes of the first GPU, None where engines are made for a CPU."""
    return torch.cuda.get_device_properties(0).total_memory if has_gpu() else None


def limit_vae_batches(checkpoint: Checkpoint, folder: Path, gpu_memory: int | None) -> None:
    """Tiles in a call of the decoder: as many as a GPU of so many bytes has memory for.

    On a CPU one for a decoder with attention over all latents; and there or on a GPU none of its
    tiles is above 128 x 128: the scores of such a one take 1 GiB.
    """
    has_attention = checkpoint.pipeline.vae.config.mid_block_add_attention
    decode, vae_decoder = (folder / name / "config.pbtxt" for name in ("decode", "vae_decoder"))
    stage, engine = read_config(decode), read_config(vae_decoder)
    if has_attention:
        stage.parameters["max_tile"].string_value = "128"
    if gpu_memory is not None:
        side = int(stage.parameters["max_tile"].string_value)
        tiles = decoder_tiles(gpu_memory, side, has_attention, engine.max_batch_size)
    else:
        tiles = 1 if has_attention else engine.max_batch_size
    stage.parameters["vae_batch_size"].string_value = str(tiles)
    engine.max_batch_size = tiles
    write_config(decode, stage)
    write_config(vae_decoder, engine)


def served_parameters(checkpoint: Checkpoint) -> dict[str, str]:
    """What a client can read in the model configuration of `upscale`."""
    step_cache = checkpoint.step_cache
    return {
        "model_id": checkpoint.model_id,
        "revision": checkpoint.revision or "",
        "safety_checker": checkpoint.safety_checker_id or "none",
        "schedulers": schedulers_text(checkpoint.schedulers),
        "max_noise_level": str(checkpoint.pipeline.config.max_noise_level),
        **({"step_cache": step_cache_text(step_cache)} if step_cache else {}),
        **{key: str(value) for key, value in asdict(checkpoint.defaults).items()},
    }


def write_tokenizer(checkpoint: Checkpoint, path: Path) -> None:
    """The tokenizer, set to pad and truncate as the pipeline's `encode_prompt` does."""
    clip = checkpoint.pipeline.tokenizer
    tokenizer = Tokenizer.from_str(clip.backend_tokenizer.to_str())
    length = clip.model_max_length
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=clip.pad_token_id, pad_token=clip.pad_token)
    tokenizer.save(str(path))


def write_manifest(
    checkpoint: Checkpoint, folder: Path, engines: dict[str, dict[str, object]], command: str
) -> None:
    """Write manifest.json: what was exported, with which tools, how exact, and every file's sum."""
    manifest = {
        **served_parameters(checkpoint),
        "command": command,
        "engines": engines,
        "tools": tool_versions(),
        "sha256": sums_of(folder),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
