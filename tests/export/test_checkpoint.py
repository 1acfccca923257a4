import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionUpscalePipeline
from safetensors.torch import load_file, save_file

from export.checkpoint import Checkpoint, Defaults, find_checkpoint, load_checkpoint
from export.errors import ExportError
from tests.tiny_pipeline import write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny"
    write(path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The same, for who changes it."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def find(folder: Path, variant: str) -> Checkpoint:
    return find_checkpoint(str(folder), None, None, None, variant)


def load(folder: Path, **changes: Any) -> Any:
    arguments = {"revision": None, "safety_checker": None, "model_id": None, **changes}
    return load_checkpoint(str(folder), **arguments)


def test_a_folder_is_named_after_itself(folder: Path) -> None:
    checkpoint = load(folder)
    assert checkpoint.model_id == "tiny"
    assert checkpoint.revision is None
    assert checkpoint.safety_checker is not None
    assert checkpoint.defaults == Defaults(75, 9.0, 20)
    assert load(folder, model_id="me/mine").model_id == "me/mine"


def test_none_leaves_the_safety_checker_out(folder: Path) -> None:
    checkpoint = load(folder, safety_checker="none")
    assert checkpoint.safety_checker is None
    assert checkpoint.safety_checker_id is None


def test_a_models_own_defaults(folder: Path) -> None:
    path = folder / "upscale.json"
    try:
        path.write_text(json.dumps({"guidance_scale": 1.0, "noise_level": 5}))
        assert load(folder).defaults == Defaults(75, 1.0, 5)
        path.write_text(json.dumps({"guidance": 1.0}))
        with pytest.raises(ExportError, match="guidance"):
            load(folder)
    finally:
        path.unlink()


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ExportError, match="holds no StableDiffusionUpscalePipeline"):
        load(tmp_path)
    with pytest.raises(ExportError, match="is for Hugging Face ids"):
        load(folder, revision="main")
    with pytest.raises(ExportError, match="without a preprocessor_config"):
        load(folder, safety_checker=str(tmp_path))


def test_weights_that_are_no_safetensors_are_not_read(copy: Path) -> None:
    for part in ("safety_checker", "unet"):
        (weights,) = (copy / part).glob("*.safetensors")
        pickled = {"unet": "diffusion_pytorch_model.bin", "safety_checker": "pytorch_model.bin"}
        torch.save(load_file(weights), weights.with_name(pickled[part]))
        weights.unlink()
        with pytest.raises(
            ExportError, match=rf"weights of {part} only as {pickled[part]}.*convert"
        ):
            load(copy)


def test_weights_that_are_nowhere(copy: Path) -> None:
    (copy / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ExportError, match=r"no weights in vae/: no vae/model\.safetensors"):
        load(copy)


def add_variant(folder: Path, parts: tuple[str, ...], keep: bool) -> None:
    """Weights in half precision beside those in float32, or in their place, as the hub has them."""
    for part in parts:
        (path,) = (folder / part).glob("*.safetensors")
        half = {name: tensor.half() for name, tensor in load_file(path).items()}
        save_file(half, path.with_suffix(".fp16.safetensors"), {"format": "pt"})
        if not keep:
            path.unlink()


def test_a_variant_is_read_when_it_is_named(copy: Path) -> None:
    add_variant(copy, ("unet", "vae"), keep=True)
    assert load(copy).weights["unet"].variant is None
    checkpoint = find(copy, variant="fp16")
    assert {name: weights.variant for name, weights in checkpoint.weights.items()} == {
        "text_encoder": None,  # as diffusers, what has none is read as it is
        "unet": "fp16",
        "vae": "fp16",
        "safety_checker": None,
    }
    for name in ("unet", "vae", "text_encoder", "safety_checker"):
        expected, actual = load(copy).load(name).state_dict(), checkpoint.load(name).state_dict()
        assert expected.keys() == actual.keys()
        for key, tensor in actual.items():
            assert torch.allclose(tensor, expected[key], atol=1e-2), key
            assert tensor.dtype == expected[key].dtype
    with pytest.raises(ExportError, match="no weights of the variant 'bf16'; leave --variant out"):
        find(copy, variant="bf16")


def test_weights_in_a_variant_only(copy: Path) -> None:
    add_variant(copy, ("text_encoder", "unet", "vae", "safety_checker"), keep=False)
    with pytest.raises(ExportError, match=r"weights of text_encoder only as fp16: add --variant"):
        load(copy)
    checkpoint = find(copy, variant="fp16")
    assert next(checkpoint.load("text_encoder").parameters()).dtype == torch.float32


def test_weights_in_several_files(copy: Path) -> None:
    StableDiffusionUpscalePipeline.from_pretrained(
        copy, local_files_only=True
    ).unet.save_pretrained(copy / "unet", max_shard_size="100KB")
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    checkpoint = load(copy)
    assert len(checkpoint.weights["unet"].files) > 2
    checkpoint.load("unet")
    (copy / checkpoint.weights["unet"].files[1]).unlink()
    with pytest.raises(ExportError, match="holds no UNet2DConditionModel"):
        load(copy).load("unet")


def test_weights_that_are_not_whole(copy: Path) -> None:
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    save_file(dict(list(tensors.items())[2:]), path, {"format": "pt"})
    with pytest.raises(ExportError, match=r"lacks weights of UNet2D.* and 1 more"):
        load(copy).load("unet")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ExportError, match=r"is broken: .*Download it again"):
        load(copy).weights["unet"].parameters()
    with pytest.raises(ExportError, match="holds no UNet2DConditionModel"):
        load(copy).load("unet")


def test_a_single_file_is_told_how_to_become_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "x4-upscaler-ema.safetensors"
    path.touch()
    with pytest.raises(ExportError, match=r"from_single_file\('.*ema\.safetensors'\)\.save_pre"):
        load(path)
    path = path.with_suffix(".ckpt")
    path.touch()
    with pytest.raises(ExportError, match="runs code when it is read"):
        load(path)


def test_a_folder_named_after_a_hash_needs_another_name(copy: Path) -> None:
    snapshot = copy.rename(copy.with_name("0123456789abcdef0123456789abcdef01234567"))
    with pytest.raises(ExportError, match="name one with --model-id"):
        load(snapshot)
    assert load(snapshot, model_id="me/mine").model_id == "me/mine"


def test_networks_are_read_when_they_are_asked_for(folder: Path) -> None:
    checkpoint = load(folder)
    assert checkpoint.pipeline.unet.device.type == "meta"
    unet = checkpoint.load("unet")
    assert unet.device.type == "cpu"
    assert checkpoint.load("unet") is not unet, "nothing keeps it"
    assert checkpoint.load("vae").config.scaling_factor == 0.08333
