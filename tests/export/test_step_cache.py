"""The UNet in two parts against the whole one, and what is written of them."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from diffusers import UNet2DConditionModel
from onnx import TensorProto

from export.checkpoint import find_checkpoint
from export.engine_choice import Choice, Engine, choose_engines
from export.errors import ExportError
from export.networks import networks_of
from export.precision import Precision, in_precision
from export.step_cache import CachingUNet, ShallowUNet, step_cache_of
from export.triton_config import read_config
from stages.engines import OnnxEngine
from stages.step_cache import FEATURE, StepCache, read_step_cache
from tests.tiny_pipeline import make_pipeline

UNET, SHALLOW = "unet", "unet_shallow"


def inputs_of(unet: Any) -> dict[str, torch.Tensor]:
    width = unet.config.cross_attention_dim
    return {
        "sample": torch.randn(2, 7, 16, 24),
        "timestep": torch.tensor([[500.0], [20.5]]),
        "encoder_hidden_states": torch.randn(2, 77, width),
        "class_labels": torch.tensor([[3], [20]]),
    }


@cache
def unet_of(architecture: str) -> Any:
    return make_pipeline(architecture).unet.eval()


def on_meta(architecture: str) -> Any:
    with torch.device("meta"):
        return UNet2DConditionModel.from_config(unet_of(architecture).config)


@cache
def described(architecture: str, branch: int) -> StepCache:
    return step_cache_of(on_meta(architecture), branch)


@torch.no_grad()
@pytest.mark.parametrize(
    ("architecture", "branch", "stride"),
    [("narrow", 0, 1), ("narrow", 3, 2), ("wide", 0, 1), ("wide", 4, 2), ("wide", 11, 8)],
)
def test_with_the_feature_of_its_own_step_a_branch_gives_what_the_whole_unet_gives(
    architecture: str, branch: int, stride: int
) -> None:
    unet, step_cache = unet_of(architecture), described(architecture, branch)
    assert (step_cache.branch, step_cache.stride) == (branch, stride)
    inputs = inputs_of(unet)
    expected = unet(
        inputs["sample"],
        inputs["timestep"][:, 0],
        inputs["encoder_hidden_states"],
        class_labels=inputs["class_labels"][:, 0],
    ).sample
    out_sample, feature = CachingUNet(unet, step_cache)(**inputs)
    assert torch.equal(out_sample, expected)
    assert feature.shape == (2, *step_cache.feature_size(16, 24))
    shallow = ShallowUNet(copy.deepcopy(unet), step_cache)
    assert torch.equal(shallow(**inputs, deep_feature=feature), expected)
    assert not torch.allclose(shallow(**inputs, deep_feature=feature + 1), expected)


def test_a_deeper_branch_costs_more_and_the_deepest_less_than_all() -> None:
    costs = [described("wide", branch).cost for branch in (0, 4, 11)]
    assert costs == sorted(costs)
    assert 0.05 < costs[0] < 0.15
    assert 0.9 < costs[-1] < 1


@pytest.mark.parametrize(("branch", "last"), [(-1, 11), (12, 11)])
def test_a_branch_that_there_is_not_is_refused(branch: int, last: int) -> None:
    with pytest.raises(ExportError, match=f"--step-cache {branch}: .* from 0, .* to {last}"):
        step_cache_of(on_meta("wide"), branch)


def test_blocks_that_are_not_known_are_refused() -> None:
    unet = on_meta("narrow")
    unet.down_blocks[0].__class__ = type("SkipDownBlock2D", (type(unet.down_blocks[0]),), {})
    with pytest.raises(
        ExportError, match=r"blocks of the kind SkipDownBlock2D, .* Export it without"
    ):
        step_cache_of(unet, 0)


def test_in_half_precision_the_feature_leaves_in_float32() -> None:
    unet = unet_of("narrow")
    module = CachingUNet(unet, described("narrow", 0))
    with torch.no_grad():
        outputs = in_precision(module, Precision.BF16)(**inputs_of(unet))
    assert [output.dtype for output in outputs] == [torch.float32] * 2


def test_both_parts_are_of_one_engine(checkpoints: Callable[[str], Path]) -> None:
    checkpoint = find_checkpoint(str(checkpoints("narrow")), None, None, None, cache_branch=0)
    networks = networks_of(checkpoint)
    assert [network.name for network in networks][1:3] == [UNET, SHALLOW]
    chosen = choose_engines(networks, [], ["unet=fp16"], on_gpu=False)
    assert chosen[UNET] == chosen[SHALLOW] == Choice(Engine.ONNX, Precision.FP16)
    with pytest.raises(ExportError, match="there is no network 'unet_shallow'"):
        choose_engines(networks, ["unet_shallow=onnx"], [], on_gpu=False)
    for engine in ("aoti", "tensorrt"):
        with pytest.raises(ExportError, match=f"unet as {engine} with --step-cache: .* unet=onnx"):
            choose_engines(networks, [f"unet={engine}"], [], on_gpu=False)
    without = networks_of(replace(checkpoint, step_cache=None))
    assert SHALLOW not in [network.name for network in without]


def test_the_weights_of_both_graphs_are_one_file(repositories: Callable[[str], Path]) -> None:
    repository = repositories("wide")
    whole, part = (repository / name / "1" / "model.onnx" for name in (UNET, SHALLOW))
    data = part.with_name("model.onnx.data")
    assert data.samefile(whole.with_name("model.onnx.data"))
    initializers = onnx.load(part, load_external_data=False).graph.initializer
    own = [it for it in initializers if it.data_location != TensorProto.EXTERNAL]
    assert len(initializers) - len(own) > 5
    assert sum(tensor.ByteSize() for tensor in own) < 4096
    assert part.stat().st_size < data.stat().st_size / 10


def test_what_the_repository_says_of_both(repositories: Callable[[str], Path]) -> None:
    repository = repositories("wide")
    manifest = json.loads((repository / "manifest.json").read_text())
    step_cache = read_step_cache(manifest["step_cache"])
    assert step_cache is not None
    assert (step_cache.branch, step_cache.channels, step_cache.stride) == (0, 24, 1)
    for name in ("upscale", "denoise"):
        parameters = read_config(repository / name / "config.pbtxt").parameters
        assert parameters["step_cache"].string_value == manifest["step_cache"]
    for name in (UNET, SHALLOW):
        assert manifest["engines"][name]["error"] <= manifest["engines"][name]["tolerance"]
    outputs, inputs = (
        {tensor.name: list(tensor.dims) for tensor in getattr(read_config(path), kind)}
        for path, kind in (
            (repository / UNET / "config.pbtxt", "output"),
            (repository / SHALLOW / "config.pbtxt", "input"),
        )
    )
    assert outputs == {"out_sample": [4, -1, -1], FEATURE: [24, -1, -1]}
    assert inputs[FEATURE] == [24, -1, -1]
    assert not (repositories("narrow") / SHALLOW).exists()


def test_the_graphs_follow_one_another(repositories: Callable[[str], Path]) -> None:
    whole, part = (
        OnnxEngine(repositories("wide") / name / "1" / "model.onnx", "cpu", outputs)
        for name, outputs in ((UNET, ["out_sample", FEATURE]), (SHALLOW, ["out_sample"]))
    )
    inputs = inputs_of(unet_of("wide"))
    out_sample, feature = whole(inputs)
    [again] = part({**inputs, FEATURE: feature})
    np.testing.assert_allclose(again, out_sample, rtol=1e-4, atol=1e-5)
