"""What a repository's sums find out."""

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from export.manifest import changed_file, record, tool_versions


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("unet/config.pbtxt", "unet/1/model.onnx", "denoise/1/model.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "manifest.json").write_text(json.dumps({"model_id": "x4"}))
    record(tmp_path)
    return tmp_path


def test_what_was_recorded_is_unchanged(repository: Path) -> None:
    assert changed_file(repository) is None
    manifest = json.loads((repository / "manifest.json").read_text())
    assert manifest["model_id"] == "x4"
    assert sorted(manifest["sha256"]) == [
        "denoise/1/model.py",
        "unet/1/model.onnx",
        "unet/config.pbtxt",
    ]


def test_what_python_compiled_is_no_change(repository: Path) -> None:
    (repository / "denoise" / "1" / "__pycache__").mkdir()
    (repository / "denoise" / "1" / "__pycache__" / "model.cpython-311.pyc").touch()
    assert changed_file(repository) is None


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("unet/1/model.onny", "is not the file that was exported: its sha256 differs"),
        (None, "is missing"),
    ],
)
def test_another_file_is_named(repository: Path, content: str | None, what: str) -> None:
    path = repository / "unet" / "1" / "model.onnx"
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert str(changed_file(repository)).startswith(f"{path} {what}")


def test_a_file_too_many_is_named(repository: Path) -> None:
    path = repository / "upscale" / "config.pbtxt"
    path.parent.mkdir()
    path.touch()
    assert str(changed_file(repository)).startswith(f"{path} is not in manifest.json")


@pytest.mark.parametrize("manifest", ["", "[]", "{}", "null"])
def test_a_manifest_without_sums_is_refused(repository: Path, manifest: str) -> None:
    (repository / "manifest.json").write_text(manifest)
    assert "names no sums" in str(changed_file(repository))


def test_a_folder_without_a_manifest_is_no_repository(tmp_path: Path) -> None:
    assert "is no model repository" in str(changed_file(tmp_path))


def test_versions_are_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where onnxruntime-gpu stands in the place of onnxruntime."""
    assert set(tool_versions()) == {
        *("torch", "diffusers", "transformers", "onnx", "onnxscript", "onnxruntime")
    }
    installed = {"torch": "2.13.0", "onnxruntime-gpu": "1.27.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr("export.manifest.version", version)
    assert tool_versions() == installed
