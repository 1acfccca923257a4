"""The UNet as a model of its own, which denoise calls by BLS: as TensorRT's engines are."""

import shutil
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


def executions(server: Server) -> int:
    """Of the model unet, by Triton's own statistics."""
    with InferenceServerClient(server.triton_url) as client:
        return int(client.get_inference_statistics("unet").model_stats[0].execution_count)


def test_pixels_and_calls_are_the_same(server: Server, tmp_path: Path) -> None:
    fields = {"num_inference_steps": STEPS, "guidance_scale": 9, "seed": 3}
    expected = server.upscale(IMAGE, **fields)
    with Server(repository_with(server, tmp_path / "bls", "bls")) as other:
        before = [*other.counts("unet"), executions(other)]
        assert other.upscale(IMAGE, **fields) == expected
        after = [*other.counts("unet"), executions(other)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2 * STEPS, STEPS, STEPS]


def test_another_word_is_refused_at_the_start(server: Server, tmp_path: Path) -> None:
    repository = repository_with(server, tmp_path / "wrong", "gpu")
    log = tmp_path / "log"
    with killed(Triton(repository, log)) as triton:
        wait_until(lambda: triton.ended() is not None, 60)
    assert 'The parameter unet of denoise is gpu: it must be "denoise" or "bls".' in log.read_text()
