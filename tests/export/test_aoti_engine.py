"""AOTInductor with a network of one convolution; that the real ones serve the same pixels stands in
end_to_end/test_engines.py.
"""

import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.source import ConstantSource
from torch._inductor import config as inductor_config
from torch._inductor.graph import GraphLowering
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from export.aoti_engine import OPTIONS, SIZES, export_aoti, load_aoti
from export.exactness import CHECK_SIZES, check_error, measure
from export.precision import Precision
from stages.engines import AotiEngine
from tests.export.test_onnx_engine import CHECKPOINT, NETWORK


def test_what_the_compiler_writes_ends_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caches: list[Path] = []

    def compile_and_package(*_: Any, package_path: str, **__: Any) -> str:
        caches.append(Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]))
        (caches[0] / "wrapper.so").touch()
        with zipfile.ZipFile(package_path, "w") as archive:
            archive.writestr("model/wrapper.so", "")
        return package_path

    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", compile_and_package)
    module = NETWORK.module(CHECKPOINT).eval()
    export_aoti(NETWORK, module, CHECKPOINT, tmp_path / "package", "cpu")
    assert caches[0].parents[1] == tmp_path, "so that it goes with what is built there"
    left = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert left == ["package", "package/model", "package/model/wrapper.so"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of NETWORK, for the CPU."""
    path = tmp_path_factory.mktemp("aoti") / "package"
    export_aoti(NETWORK, NETWORK.module(CHECKPOINT).eval(), CHECKPOINT, path, "cpu")
    return path


def test_on_a_gpu_convolutions_have_their_channels_last() -> None:
    """By Inductor's own decision about a graph with free sizes, which is no without the option."""
    mode = FakeTensorMode(shape_env=ShapeEnv())
    with mode:
        source = ConstantSource("side")
        environment = mode.shape_env
        assert environment is not None
        side = environment.create_symintnode(
            environment.create_symbol(128, source), hint=128, source=source
        )
        sample = torch.empty(2, 320, side, side, device="cuda")
        weight = torch.empty(320, 320, 3, 3, device="cuda")
        graph = make_fx(
            lambda x, w: torch.ops.aten.convolution(
                x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1
            )
        )(sample, weight)
    assert not GraphLowering.decide_layout_opt(graph, is_inference=True)
    with inductor_config.patch(OPTIONS["cuda"]):
        assert GraphLowering.decide_layout_opt(graph, is_inference=True)


def test_on_a_gpu_kernels_are_tuned_for_the_usual_image() -> None:
    rows, height, width = SIZES["cuda"]
    assert (rows, height) == (2, 128)
    assert width != height, "equal sides would be taken for one"
    for check in CHECK_SIZES:
        assert all(a != b for a, b in zip(check, SIZES["cuda"], strict=True))


LOAD = """
import sys
from pathlib import Path
import torch
from stages.engines import AotiEngine
torch.set_num_threads(1)
print(AotiEngine(Path(sys.argv[1]), "cpu")({"sample": torch.ones(1, 3, 8, 8)})[0].shape)
"""


def test_loading_a_package_writes_nothing(package: Path) -> None:
    """So a /tmp that runs nothing, as a container's, does not matter, and nothing stays there."""
    result = subprocess.run(
        [sys.executable, "-B", "-c", LOAD, str(package)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "(1, 4, 8, 8)\n", result.stderr


def test_a_package_runs_as_it_is_served_and_where_it_was_compiled_for(package: Path) -> None:
    """Also where somebody asks for a GPU, as a server does that sees one."""
    module = NETWORK.module(CHECKPOINT).eval()
    run = load_aoti(package, "cpu")
    check_error(NETWORK, Precision.FP32, measure(NETWORK, module, CHECKPOINT, run).error)
    sample = torch.ones(1, 3, 8, 8)
    assert list(package.parent.iterdir()) == [package], "the file that it is packed into is gone"
    for device in ("cpu", "cuda:0"):
        engine = AotiEngine(package, device)
        assert engine.device == "cpu"
        [out] = engine({"sample": sample})
        [expected] = run({"sample": sample})
        assert torch.equal(torch.as_tensor(out), expected)
