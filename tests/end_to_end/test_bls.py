"""The UNet as a model of its own, which denoise calls by BLS: as TensorRT's engines are."""

import shutil
from collections.abc import Callable
from pathlib import Path

from tritonclient.grpc import InferenceServerClient

from embedded.triton import Triton
from export.manifest import record
from tests.photographs import file_of, photograph
from tests.server import Server, killed, wait_until
from tests.unet_parameter import set_unet

IMAGE = file_of(photograph("coffee", 64, 48))
STEPS = 5


def repository_with(server: Server, folder: Path, where: str) -> Path:
    """A copy of a server's, with another value of denoise's parameter `unet`."""
    shutil.copytree(server.repository, folder)
    set_unet(folder, where)
    record(folder)
    return folder


def executions(server: Server, name: str) -> int:
    """Of a model, by Triton's own statistics."""
    with InferenceServerClient(server.triton_url) as client:
        return int(client.get_inference_statistics(name).model_stats[0].execution_count)


def test_pixels_and_calls_are_the_same(servers: Callable[[str], Server], tmp_path: Path) -> None:
    """Those of unet_shallow as well, which it has with a step cache."""
    server = servers("wide")
    fields = {"num_inference_steps": STEPS, "guidance_scale": 9, "seed": 3, "safety_check": False}
    with Server(repository_with(server, tmp_path / "bls", "bls")) as other:
        for interval, whole, shallow in ((1, STEPS, 0), (3, 3, 2)):
            before = [executions(other, name) for name in ("unet", "unet_shallow")]
            rows, calls = other.counts("unet")
            picture = other.upscale(IMAGE, step_cache=interval, **fields)
            assert picture == server.upscale(IMAGE, step_cache=interval, **fields)
            after = [executions(other, name) for name in ("unet", "unet_shallow")]
            assert [b - a for a, b in zip(before, after, strict=True)] == [whole, shallow]
            assert other.counts("unet") == (rows + 2 * STEPS, calls + STEPS)


def test_another_word_is_refused_at_the_start(server: Server, tmp_path: Path) -> None:
    repository = repository_with(server, tmp_path / "wrong", "gpu")
    log = tmp_path / "log"
    with killed(Triton(repository, log)) as triton:
        wait_until(lambda: triton.ended() is not None, 60)
    assert 'The parameter unet of denoise is gpu: it must be "denoise" or "bls".' in log.read_text()
