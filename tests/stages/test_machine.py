"""Engines that were made for another machine are told from those that run here."""

import json
from pathlib import Path
from typing import Any

import pytest

from embedded.errors import TritonError
from embedded.triton import Triton
from stages import machine
from stages.machine import (
    cpu_instructions,
    describe_machine,
    is_verified_on_cpu,
    machine_refusal,
    mismatch,
)

GPU = {"torch": "2.13.0", "gpu": "NVIDIA H200", "capability": "9.0"}
PLAN = {"tensorrt": "11.1", "gpu": "NVIDIA H200", "capability": "9.0"}
CPU = {"torch": "2.13.0", "cpu": "A", "instructions": ["avx2", "avx512f"]}
COMMAND = "upscale export --model m --engine aoti --output o"


@pytest.mark.parametrize(
    ("made_for", "here", "expected"),
    [
        (GPU, GPU, None),
        (GPU, {**GPU, "gpu": "NVIDIA H100"}, None),
        (GPU, {**GPU, "capability": "8.9"}, "capability 9.0; here it is 8.9"),
        (GPU, {"torch": "2.13.0"}, "capability 9.0; here it is none"),
        (PLAN, PLAN, None),
        (PLAN, {**PLAN, "gpu": "NVIDIA H100"}, "gpu NVIDIA H200; here it is NVIDIA H100"),
        (GPU, {**GPU, "torch": "2.14.0"}, "torch 2.13.0; here it is 2.14.0"),
        ({"tensorrt": "11.1"}, {"tensorrt": "11.4"}, "tensorrt 11.1; here it is 11.4"),
        (CPU, {**CPU, "cpu": "B"}, None),
        (CPU, {**CPU, "instructions": ["avx2", "avx512f", "fma"]}, None),
        (CPU, {**CPU, "instructions": ["avx2"]}, "a CPU with avx512f, which this one lacks"),
    ],
)
def test_mismatch(made_for: dict[str, Any], here: dict[str, Any], expected: str | None) -> None:
    assert mismatch(made_for, here) == expected


def test_instructions_are_those_that_compilers_use() -> None:
    text = "processor\t: 0\nflags\t\t: fpu avx512f avx2 syscall fma\n\nflags\t\t: fpu\n"
    assert cpu_instructions(text) == ["avx2", "avx512f", "fma"]
    assert cpu_instructions("") == []


def test_this_machine_can_run_what_it_makes() -> None:
    for engine in ("onnx", "aoti"):
        assert mismatch(describe_machine(engine, "cpu"), describe_machine(engine, "cpu")) is None
    assert describe_machine("onnx", "cpu") == {}
    assert describe_machine("aoti", "cpu")["instructions"]


def write(repository: Path, **made_for: Any) -> Path:
    engines = {
        "unet": {"engine": "aoti", "machine": {**describe_machine("aoti", "cpu"), **made_for}},
        "vae_decoder": {"engine": "onnx", "machine": {}},
    }
    manifest = {"command": COMMAND, "engines": engines}
    (repository / "manifest.json").write_text(json.dumps(manifest))
    return repository


def test_a_repository_for_this_machine_is_served(tmp_path: Path) -> None:
    assert machine_refusal(tmp_path) is None
    assert machine_refusal(write(tmp_path)) is None


def test_the_refusal_names_the_command_that_makes_it_again(tmp_path: Path) -> None:
    why = machine_refusal(write(tmp_path, torch="1.0"))
    assert why is not None
    assert "The aoti engine of unet was made for torch 1.0; here it is 2." in why
    assert why.endswith(COMMAND)
    assert machine_refusal(tmp_path, ["vae_decoder"]) is None


@pytest.mark.parametrize(
    ("engine", "made_for"),
    [("aoti", GPU), ("tensorrt", {"tensorrt": "11.1"})],
)
def test_a_missing_library_or_gpu_is_a_mismatch(engine: str, made_for: dict[str, Any]) -> None:
    assert mismatch(made_for, machine.this_machine(engine, made_for)) is not None


def test_triton_does_not_start_on_the_wrong_machine(tmp_path: Path) -> None:
    (tmp_path / "upscale").mkdir()
    (tmp_path / "upscale" / "config.pbtxt").touch()
    write(tmp_path, instructions=["avx9"])
    with pytest.raises(TritonError, match="a CPU with avx9, which this one lacks"):
        Triton(tmp_path, tmp_path / "log").start()


@pytest.mark.parametrize(
    ("devices", "expected"), [(["cpu", "cpu"], True), (["cpu", "cuda"], False), ([None], False)]
)
def test_what_was_verified_on_the_cpu_is_told(
    tmp_path: Path, devices: list[str | None], expected: bool
) -> None:
    assert not is_verified_on_cpu(tmp_path)
    engines = {str(i): {"verified_on": device} for i, device in enumerate(devices)}
    (tmp_path / "manifest.json").write_text(json.dumps({"engines": engines}))
    assert is_verified_on_cpu(tmp_path) is expected
