import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import PNDMScheduler
from safetensors.torch import load_file

from export.checkpoint import Defaults, load_checkpoint
from export.errors import ExportError
from tests.tiny_pipeline import write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny"
    write(path)
    return path


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


def test_a_name_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ExportError, match="nobody/nothing is neither a folder here nor a model"):
        load(Path("nobody/nothing"))
    with pytest.raises(ExportError, match="nobody/checker is neither a folder here nor a model"):
        load(folder, safety_checker="nobody/checker")


def test_a_commit_of_the_hub_becomes_the_revision(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    asked: list[tuple[str, str]] = []

    def download(model: str, revision: str) -> str:
        asked.append((model, revision))
        return str(folder)

    monkeypatch.setattr("export.checkpoint.StableDiffusionUpscalePipeline.download", download)
    checkpoint = load(Path("somebody/model"), revision="main")
    assert asked == [("somebody/model", "main")]
    assert checkpoint.revision == folder.name  # a snapshot's folder is named after its commit
    assert checkpoint.model_id == "somebody/model"


def test_another_scheduler_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny"
    write(path)
    PNDMScheduler().save_pretrained(path / "scheduler")
    index = json.loads((path / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "PNDMScheduler"]
    (path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ExportError, match="PNDMScheduler; denoise steps a DDIMScheduler"):
        load(path)


def test_a_scheduler_with_fewer_timesteps_than_steps_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny"
    write(path)
    config = path / "scheduler" / "scheduler_config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "num_train_timesteps": 500}))
    with pytest.raises(ExportError, match=r"a scheduler of 500 timesteps; .* for 1000 steps"):
        load(path)


def test_weights_that_are_no_safetensors_are_not_read(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    weights = other / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ExportError, match=r"diffusion_pytorch_model\.safetensors"):
        load(other)
    shutil.copytree(folder, other, dirs_exist_ok=True)
    weights = other / "safety_checker" / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(ExportError, match=r"model\.safetensors"):
        load(other)
