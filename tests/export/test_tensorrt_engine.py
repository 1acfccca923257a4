"""What of TensorRT needs no TensorRT: the profiles, and the sentence without it."""

import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import onnx
import pytest

from export.checkpoint import Checkpoint, load_checkpoint
from export.errors import ExportError
from export.networks import NETWORKS, Network
from export.tensorrt_engine import export_tensorrt, import_tensorrt, profiles
from export.triton_config import read_config
from stages.tiles import MAX_TILE


@pytest.fixture(scope="module")
def checkpoint(checkpoints: Callable[[str], Path]) -> Checkpoint:
    return load_checkpoint(str(checkpoints("narrow")), None, None, None)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_profiles_move_the_axes_that_are_free_in_the_graph(
    network: Network, checkpoint: Checkpoint, repositories: Callable[[str], Path]
) -> None:
    folder = repositories("narrow") / network.name
    largest_batch = read_config(folder / "config.pbtxt").max_batch_size
    graph = onnx.load(folder / "1" / "model.onnx", load_external_data=False).graph
    axes = {value.name: value.type.tensor_type.shape.dim for value in graph.input}
    found = profiles(network, checkpoint, largest_batch)
    assert len(found) == (2 if network.name in {"unet", "vae_decoder"} else 1)
    for profile in found:
        assert set(profile.shapes) == set(axes)
        for name, shapes in profile.shapes.items():
            for axis, smallest, usual, largest in zip(axes[name], *shapes, strict=True):
                assert smallest <= usual <= largest
                if axis.HasField("dim_value"):
                    assert smallest == largest == axis.dim_value
                elif largest_batch > 1:
                    assert smallest < largest


def test_the_last_profile_takes_every_tile(checkpoint: Checkpoint) -> None:
    unet = next(network for network in NETWORKS if network.name == "unet")
    smallest, usual, largest = profiles(unet, checkpoint, 16)[-1].shapes["sample"]
    assert smallest == [1, 7, 8, 8]
    assert usual == [2, 7, 128, 128]
    assert largest == [16, 7, MAX_TILE, MAX_TILE]


def test_a_full_batch_has_a_profile_of_its_own(checkpoint: Checkpoint) -> None:
    unet = next(network for network in NETWORKS if network.name == "unet")
    smallest, usual, largest = profiles(unet, checkpoint, 16)[0].shapes["sample"]
    assert (smallest, usual, largest) == ([1, 7, 8, 8], [16, 7, 128, 128], [16, 7, 128, 128])
    assert len(profiles(unet, checkpoint, 1)) == 1, "alone is full"


def test_a_plan_is_built_without_tf32(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensorrt = MagicMock()
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt)
    builder = tensorrt.Builder.return_value
    builder.build_serialized_network.return_value = b"plan"
    assert export_tensorrt(NETWORKS[0], checkpoint, tmp_path / "graph", tmp_path / "plan", 8) == 1
    config = builder.create_builder_config.return_value
    config.clear_flag.assert_called_once_with(tensorrt.BuilderFlag.TF32)
    assert (tmp_path / "plan").read_bytes() == b"plan"


def test_without_the_package_a_sentence_says_so() -> None:
    with pytest.raises(ExportError, match="install the extra `tensorrt`"):
        import_tensorrt()
