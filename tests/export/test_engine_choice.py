"""Which engine each network gets, by the command line and the machine."""

import sys
import sysconfig
from pathlib import Path

import pytest

from export.engine_choice import Choice, Engine, choose_engines, compiler_refusal, warning
from export.errors import ExportError
from export.networks import NETWORKS
from export.precision import Precision

FP32, FP16, BF16 = Precision.FP32, Precision.FP16, Precision.BF16


def precisions(given: list[str], on_gpu: bool, engine: str = "aoti") -> dict[str, Precision]:
    chosen = choose_engines(NETWORKS, [engine], given, on_gpu)
    return {name: choice.precision for name, choice in chosen.items()}


def test_the_default_on_a_cpu_is_exact() -> None:
    assert set(choose_engines(NETWORKS, [], [], on_gpu=False).values()) == {
        Choice(Engine.ONNX, FP32)
    }


def test_the_default_on_a_gpu_is_diffusers_own() -> None:
    assert precisions([], on_gpu=True, engine="onnx") == {
        "text_encoder": FP16,
        "unet": FP16,
        "vae_decoder": FP32,
        "safety_checker": FP32,
    }


def test_one_value_is_for_all_that_can() -> None:
    assert precisions(["fp16"], on_gpu=False) == {
        "text_encoder": FP16,
        "unet": FP16,
        "vae_decoder": FP32,
        "safety_checker": FP32,
    }
    assert precisions(["bf16"], on_gpu=False)["vae_decoder"] is BF16


def test_a_network_of_its_own() -> None:
    chosen = choose_engines(NETWORKS, ["unet=aoti"], ["fp16", "unet=bf16"], on_gpu=False)
    assert chosen["unet"] == Choice(Engine.AOTI, BF16)
    assert chosen["text_encoder"] == Choice(Engine.ONNX, FP16)


@pytest.mark.parametrize(
    ("engines", "given", "message"),
    [
        (["caffe"], [], "--engine caffe: 'caffe' is none of onnx, aoti, tensorrt."),
        ([], ["unet=int8"], "--precision unet=int8: 'int8' is none of fp32, fp16, bf16."),
        ([], ["vae=bf16"], "there is no network 'vae'; there are text_encoder, unet, vae_decoder,"),
        ([], ["vae_decoder=fp16"], "vae_decoder in fp16: .*overflow.* Allowed: fp32 or bf16."),
        ([], ["safety_checker=bf16"], "safety_checker in bf16: .*sign decides. Allowed: fp32."),
        ([], ["bf16"], "no bf16 convolutions on CPUs. Allowed here: --engine aoti in bf16"),
        (["tensorrt"], [], "this machine has none that PyTorch sees. Allowed here: --engine onnx"),
    ],
)
def test_what_cannot_be_is_refused_on_a_cpu(
    engines: list[str], given: list[str], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        choose_engines(NETWORKS, engines, given, on_gpu=False)


def test_without_a_compiler_aoti_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ExportError, match=r"no-such-compiler, which is not installed .*apt install"
    ):
        choose_engines(NETWORKS, ["unet=aoti"], [], on_gpu=False)
    choose_engines(NETWORKS, ["onnx"], [], on_gpu=False)


def test_for_a_gpu_the_toolkit_and_pythons_headers_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", sys.executable)  # any that is there
    monkeypatch.setattr("torch.utils.cpp_extension.CUDA_HOME", None)
    with pytest.raises(ExportError, match="set CUDA_HOME to its folder; or choose --engine onnx"):
        choose_engines(NETWORKS, ["unet=aoti"], [], on_gpu=True)
    monkeypatch.setattr("torch.utils.cpp_extension.CUDA_HOME", "/usr/local/cuda")
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    assert "Python.h, which is not installed" in str(compiler_refusal(on_gpu=True))
    (tmp_path / "Python.h").touch()
    assert compiler_refusal(on_gpu=True) is None
    assert compiler_refusal(on_gpu=False) is None


def test_fp16_for_a_gpu_is_told_on_a_cpu() -> None:
    half = choose_engines(NETWORKS, [], ["unet=fp16"], on_gpu=False)
    told = warning(half, on_gpu=False)
    assert told is not None
    assert told.startswith("unet in fp16 as ONNX: for a GPU.")
    assert warning(half, on_gpu=True) is None
    assert warning(choose_engines(NETWORKS, ["aoti"], ["fp16"], on_gpu=False), on_gpu=False) is None
    assert warning(choose_engines(NETWORKS, [], [], on_gpu=False), on_gpu=False) is None


def test_tensorrt_without_its_package_is_refused() -> None:
    with pytest.raises(ExportError, match="install the extra `tensorrt`, in the release of"):
        choose_engines(NETWORKS, ["tensorrt"], [], on_gpu=True)
