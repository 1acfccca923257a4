"""The reason that is told is the true one. The lines are Triton 2.51's own, on a CPU."""

from pathlib import Path

import pytest

from embedded.triton_log import why_it_failed

START = """\
W1127 06:00:24.158493 1100 pinned_memory_manager.cc:273] "Unable to allocate pinned system memory"
E1127 06:00:24.158724 1100 server.cc:241] "CudaDriverHelper has not been initialized."
I1127 06:00:24.168469 1100 model_lifecycle.cc:472] "loading: decode:1"
E1127 06:00:29.857260 1100 ensemble_scheduler.cc:1468] "unable to create stream for upscale: CUDA"
"""
FAILED_TO_LOAD = r"""
I1127 06:00:28.174167 1100 pb_stub.cc:366] "Failed to initialize Python stub: InvalidProtobuf: no"
E1127 06:00:28.757652 1100 backend_model.cc:692] "ERROR: Failed to create instance: no\n\nAt:\n  x"
E1127 06:00:28.757788 1100 model_lifecycle.cc:642] "failed to load 'unet' version 1: Internal: \
InvalidProtobuf: unet/1/model.onnx failed:Protobuf parsing failed.\n\nAt:\n  /x.py(753): f\n"
I1127 06:00:28.757834 1100 model_lifecycle.cc:777] "failed to load 'unet'"
E1127 06:00:38.731200 1100 model_lifecycle.cc:642] "failed to load 'denoise' version 1: Internal: y"
E1127 06:00:38.731351 1100 model_repository_manager.cc:703] "Invalid argument: ensemble 'upscale'"
error: creating server: Internal - failed to load all models
""".replace("\\\n", "")
TAKEN = """\
error: failed to start GRPC service: Unavailable - Socket '127.0.0.1:8001' already in use
"""
NO_LIBRARY = (
    "python/triton_python_backend_stub: error while loading shared libraries: libpython3.11.so.1.0:"
    " cannot open shared object file: No such file or directory\n"
)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", "its log names no error."),
        (START, "its log names no error."),
        (
            START + FAILED_TO_LOAD,
            "failed to load 'unet' version 1: Internal: InvalidProtobuf: unet/1/model.onnx"
            " failed:Protobuf parsing failed.",
        ),
        (START + 'E1127 06:00:30.1 1 a.cc:1] "a model is broken"\n', "a model is broken"),
        (
            START + TAKEN,
            "error: failed to start GRPC service: Unavailable - Socket '127.0.0.1:8001' already in"
            " use",
        ),
    ],
    ids=["empty", "harmless", "model", "other", "port"],
)
def test_the_reason_is_what_a_person_needs(tmp_path: Path, log: str, reason: str) -> None:
    (tmp_path / "log").write_text(log)
    assert why_it_failed(tmp_path / "log") == reason


def test_a_missing_libpython_is_named_with_its_package(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(START + NO_LIBRARY)
    why = why_it_failed(tmp_path / "log")
    assert why.startswith("it needs libpython3.11.so.1.0, which is not installed (Debian: apt")


def test_any_other_library_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(
        START
        + "E1127 06:00:28.1 1 model_lifecycle.cc:642] \"failed to load 'unet' version 1: Not found:"
        " unable to load shared library: libcudnn.so.9: cannot open shared object file: No such"
        ' file or directory"\n'
    )
    assert why_it_failed(tmp_path / "log") == "it needs libcudnn.so.9, which is not installed."


def test_an_earlier_start_is_no_reason(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(FAILED_TO_LOAD + TAKEN)
    assert "already in use" in why_it_failed(tmp_path / "log", len(FAILED_TO_LOAD.encode()))
